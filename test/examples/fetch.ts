/** Fetches a page, for the servers among the examples, and prints it. Argument: its address. */

void (async () => {
  const response = await fetch(process.argv[2] ?? '');
  console.log(response.headers.get('content-type') ?? 'no content-type');
  process.stdout.write(await response.text());
})();
