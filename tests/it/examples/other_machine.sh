# A shop of two machines, each a network of its own with a cable between them: the gateway's, in which this runs, and
# the till's. other_machine.sh FISCALD FOLDER TILL...: the program TILL runs on the till's.
set -eu
fiscald=$1 folder=$2
shift 2
cd "$folder"

mkfifo up go
unshare -n sh -c 'echo up > up; read -r _ < go; exec "$@"' sh "$@" &
till=$!
gateway=
trap 'kill $till $gateway 2> kill.log || :' EXIT
read -r _ < up
ip link set lo up
# The gateway starts while the router is off, so to speak: it has no address of the shop yet.
"$fiscald" --config lan.toml run --test-clock clock.sock > gateway.log 2>&1 &
gateway=$!
if ! curl -sSf --retry 60 --retry-all-errors --retry-delay 1 --unix-socket data/fiscald.sock http://localhost/readyz > ready 2>&1; then
  cat ready gateway.log >&2
  exit 1
fi

ip link add shop type veth peer name till netns "$till"
ip addr add 10.77.0.1/24 dev shop
ip link set shop up
nsenter -t "$till" -n sh -ec 'ip link set lo up
  ip addr add 10.77.0.2/24 dev till
  ip addr add 10.77.0.3/24 dev till
  ip link set till up'

if ! curl -sSf --retry 60 --retry-all-errors --retry-delay 1 --cacert gateway.pem https://10.77.0.1:8488/readyz > ready 2>&1; then
  cat ready gateway.log >&2
  exit 1
fi
echo go > go
wait "$till"
kill "$gateway"
wait "$gateway"
grep -q 'as soon as it is there' gateway.log
