# Sourced under `vfiofs run`: starts libvirt's daemon, and defines virsh() for it. Debian 13's, from build/trixie where the system is older (the choice of
# variant drivers came with libvirt 10.1). Everything it would write lies in mounts of this view.
root=build/trixie
[ -e $root/.stamp ] || root=
if [ -n "$root" ]; then
  for part in dev sys proc ${udevd:+run}; do mount --rbind /$part $root/$part; done
  mount --rbind /lib/modules $root/usr/lib/modules
fi
for place in etc run var/lib var/cache; do mount -t tmpfs tmpfs $root/$place/libvirt; done
mkdir $root/run/libvirt/drivers

# The hypervisor's driver is who detaches functions; what it needs of a host are its own users, which packages make elsewhere.
printf 'user = "root"\ngroup = "root"\n' >$root/etc/libvirt/qemu.conf
printf '%s\n' root:x:0:0::/:/bin/sh libvirt-qemu:x:64055:64055::/:/bin/false >$root/run/libvirt/passwd
printf '%s\n' root:x:0: libvirt-qemu:x:64055: kvm:x:64056: >$root/run/libvirt/group
for file in passwd group; do mount --bind $root/run/libvirt/$file $root/etc/$file; done

# Two of its drivers, so that none touches networks or storage.
for driver in nodedev qemu; do
  ln -s /usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_$driver.so $root/run/libvirt/drivers/
done
printf '%s\n' 'auth_unix_ro = "none"' 'auth_unix_rw = "none"' >$root/etc/libvirt/libvirtd.conf
# What is started is the daemon itself, for the trap to end.
env LIBVIRT_DRIVER_DIR=/run/libvirt/drivers ${root:+chroot $root} libvirtd -p /run/libvirt/pid >/dev/null 2>$root/run/libvirt/log &
libvirtd=$!
for _ in $(seq 100); do
  [ ! -S $root/run/libvirt/libvirt-sock ] || break
  sleep 0.1
done
[ -S $root/run/libvirt/libvirt-sock ] || { cat $root/run/libvirt/log >&2; exit 1; }
virsh() { env LC_ALL=C ${root:+chroot $root} virsh -q -c qemu:///system "$@" 2>&1; }
# It has nothing to put in order, and would wait for what its threads are at.
trap 'kill -KILL $libvirtd ${udevd:-}; wait $libvirtd ${udevd:-} 2>/dev/null || true' EXIT
