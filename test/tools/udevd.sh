# Sourced under `vfiofs run`: starts udevd with the rules of the system and those of the file $rules, if there is one. What it writes lies in a mount of this
# view; so does /run, which the system's own udevd must not lose its socket in.
for place in /run /dev/char; do mount -t tmpfs tmpfs $place; done
mkdir -p /run/udev/rules.d /run/libvirt
[ -z "${rules:-}" ] || printf '%s\n' "$rules" >/run/udev/rules.d/10-test.rules
/lib/systemd/systemd-udevd >/run/udevd.log 2>&1 &
udevd=$!
for _ in $(seq 100); do
  udevadm control --ping 2>/dev/null && break
  sleep 0.1
done
udevadm control --ping || { cat /run/udevd.log >&2; exit 1; }
trap 'kill $udevd; wait $udevd || true' EXIT
