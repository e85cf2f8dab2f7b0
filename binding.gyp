{
  'target_defaults': {
    'cflags': ['-Wall', '-Wextra', '-O2'],
    'cflags_cc': ['-std=c++17'],
    'cflags_cc!': ['-fno-exceptions', '-fno-rtti'],
    'defines': ['_GNU_SOURCE', '_FILE_OFFSET_BITS=64'],
  },
  'targets': [
    {
      'target_name': 'vfiofs',
      'defines': ['NAPI_VERSION=8', 'NODE_ADDON_API_CPP_EXCEPTIONS'],
      # A system include: warnings in somebody else's header are not ours.
      'cflags_cc': ['-isystem<!(node -p "require(\'path\').resolve(require(\'node-addon-api\').include_dir)")'],
      'sources': [
        'src/native/addon.cc',
        'src/native/arguments.cc',
        'src/native/backing.cc',
        'src/native/channel.cc',
        'src/native/copy.cc',
        'src/native/crew.cc',
        'src/native/descriptor.cc',
        'src/native/environment.cc',
        'src/native/errors.cc',
        'src/native/eventfd.cc',
        'src/native/graft.cc',
        'src/native/guard.cc',
        'src/native/mapping.cc',
        'src/native/maps.cc',
        'src/native/mount.cc',
        'src/native/notifier.cc',
        'src/native/pin.cc',
        'src/native/pin-handle.cc',
        'src/native/process.cc',
        'src/native/proc-file.cc',
        'src/native/process-handle.cc',
        'src/native/transfer.cc',
        'src/native/watcher.cc',
        'src/native/watch-thread.cc',
      ],
      # Threads that sleep in the kernel may outlive the environment that started them: the code must stay.
      'ldflags': ['-Wl,-z,nodelete'],
    },
    {
      'target_name': 'vfiofs-launch',
      'type': 'executable',
      'sources': ['src/native/launch.cc', 'src/native/supervise-start.cc', 'src/native/supervised-calls.cc'],
    },
    {
      'target_name': 'vfiofs-supervise',
      'type': 'executable',
      'sources': [
        'src/native/notification.cc',
        'src/native/supervise-main.cc',
        'src/native/proc-file.cc',
        'src/native/supervised-files.cc',
        'src/native/supervised-ioctls.cc',
        'src/native/supervised-task.cc',
      ],
      'ldflags': ['-static'],
    },
    {
      'target_name': 'vfiofs-graft',
      'type': 'executable',
      'sources': ['src/native/graft-helper.cc', 'src/native/proc-file.cc', 'src/native/tracee.cc'],
      # Started for every graft: without the dynamic linker it is there in half the time.
      'ldflags': ['-static'],
    },
  ],
}
