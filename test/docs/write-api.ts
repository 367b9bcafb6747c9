/** npm run docs:api: writes docs/api.md from the comments in lib/. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../lab/project-root';
import { apiPage } from './api-page';

void apiPage().then((page) => writeFileSync(join(projectRoot(), 'docs/api.md'), page));
