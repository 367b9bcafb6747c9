{
  'variables': {
    # Headers of rdma-core: 'system', a folder, or 'none', and then the addon is built without the
    # verbs fabric. Only headers are needed: the libraries are opened at run time.
    'rdma_include%': '<!(node binding/rdma-include.js)',
    # 1 where we build it ourselves: other people's compilers may warn of more.
    'werror%': 0,
  },
  'targets': [
    {
      'target_name': 'rdma_net',
      'conditions': [
        ['OS=="linux"', {
          'sources': [
            'binding/local/arena.cc',
            'binding/local/endpoint.cc',
            'binding/local/group.cc',
            'binding/local/inbox.cc',
            'binding/local/link.cc',
            'binding/local/listener.cc',
            'binding/local/local_fabric.cc',
            'binding/local/local_socket.cc',
            'binding/local/messages.cc',
            'binding/local/rendezvous.cc',
            'binding/local/routes.cc',
            'binding/local/shared_memory.cc',
            'binding/loop/pump.cc',
            'binding/napi/backing_store.cc',
            'binding/napi/event_records.cc',
            'binding/napi/keepalives.cc',
            'binding/napi/module.cc',
            'binding/napi/objects.cc',
            'binding/napi/options.cc',
            'binding/napi/registrations.cc',
            'binding/napi/transport.cc',
            'binding/napi/transport_reports.cc',
            'binding/napi/view_buffer.cc',
            'binding/stream/connection.cc',
            'binding/stream/connection_end.cc',
            'binding/stream/connection_handshake.cc',
            'binding/stream/outbox.cc',
            'binding/stream/receive_window.cc',
            'binding/stream/receiver.cc',
            'binding/stream/send_queue.cc',
            'binding/stream/send_ring.cc',
            'binding/stream/send_window.cc',
            'binding/stream/sender.cc',
            'binding/stream/wire.cc',
            'binding/system/address.cc',
            'binding/system/user_namespace.cc',
          ],
          'ldflags': ['-Wl,--version-script=<(module_root_dir)/binding/exports.map'],
          'conditions': [
            ['werror==1', { 'cflags': ['-Werror'] }],
            ['rdma_include!="none" and rdma_include!="system"', {
              'cflags': ['-isystem<(rdma_include)'],
            }],
            ['rdma_include!="none"', {
              'defines': ['RDMA_NET_HAS_VERBS=1'],
              'sources': [
                'binding/verbs/async_events.cc',
                'binding/verbs/budget.cc',
                'binding/verbs/device.cc',
                'binding/verbs/device_table.cc',
                'binding/verbs/endpoint.cc',
                'binding/verbs/endpoint_data.cc',
                'binding/verbs/failures.cc',
                'binding/verbs/library.cc',
                'binding/verbs/listener.cc',
                'binding/verbs/mapping.cc',
                'binding/verbs/memory_block.cc',
                'binding/verbs/queue_group.cc',
                'binding/verbs/queue_pair.cc',
                'binding/verbs/registration.cc',
                'binding/verbs/request_chain.cc',
                'binding/verbs/slab_chunk.cc',
                'binding/verbs/slab_pool.cc',
                'binding/verbs/verbs_fabric.cc',
                'binding/verbs/worker.cc',
              ],
            }, {
              'defines': ['RDMA_NET_HAS_VERBS=0'],
            }],
          ],
        }, {
          # Elsewhere the package is plain net, and nothing is built.
          'type': 'none',
        }],
      ],
      'include_dirs': ['binding'],
      'cflags': [
        '-isystem<!(node -p "path.resolve(require(\'node-addon-api\').include_dir)")',
        '-Wall', '-Wextra', '-Wconversion', '-Wshadow', '-fvisibility=hidden',
      ],
      'cflags_cc!': ['-std=gnu++17', '-std=gnu++20'],
      'cflags_cc': ['-std=c++20', '-fno-exceptions'],
      # Node's own headers do not pass our warnings.
      'cflags_cc+': ['-Wno-unused-parameter'],
      'defines': [
        # The lowest that has all that binding/napi calls: napi_add_async_cleanup_hook came with 8,
        # napi_detach_arraybuffer with 7. Every Node since 12.22 has it, and later versions keep what
        # it promises: one binary is for all versions of Node that the package supports.
        'NAPI_VERSION=8',
        'NODE_ADDON_API_DISABLE_DEPRECATED', 'NAPI_DISABLE_CPP_EXCEPTIONS',
        # An environment that is being torn down takes no exceptions: that must not end the process.
        'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
      ],
    },
  ],
}
