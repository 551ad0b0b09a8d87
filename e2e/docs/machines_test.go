//go:build linux

package docs

import (
	"os"
	"testing"

	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/internal/prose"
)

// fleetOf is a reader at a controller and two nodes, on which nothing runs but
// Docker.
func fleetOf(t *testing.T, opts fleet.Options) *reader {
	t.Helper()
	netnstest.RequireRoot(t)
	opts.Bin, opts.Agents, opts.ByHand = bin, 2, true
	f, err := fleet.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	machines := map[string]*lab.Node{"controller": f.Machine}
	for _, a := range f.Agents {
		machines[a.Name] = a.Machine
	}
	return newReader(t, machines)
}

// carry does what the documents leave to the reader: a file of the controller's
// machine gets to a node, by scp, by hand, or in an image.
func (r *reader) carry(name, to, as string) {
	r.t.Helper()
	text, err := os.ReadFile(r.file("controller", name))
	r.must(err)
	r.must(os.WriteFile(r.file(to, as), text, 0o600))
}

// joinElsewhere is what the documents do by ssh.
const joinElsewhere = `install -m 755 bin/nicferry-agent bin/nicferry bin/nicferry-wait /usr/local/bin/
install -D -m 644 examples/agent.yaml /etc/nicferry/agent.yaml
nicferry-agent join 10.98.0.1:7460 - <vm2.token
nicferry-agent >/var/log/nicferry-agent.log 2>&1 &
docker run -d --init --name db --network none --label nicferry.network=lab busybox sleep 1000000
until docker exec db ip addr show dev eth0; do sleep 0.1; done`

// joinedAnew is what the documents say of a node that was revoked.
const joinedAnew = `nicferry-agent join --force 10.98.0.1:7460 - <vm2.token
kill "$(pidof nicferry-agent)"; while pidof nicferry-agent; do sleep 0.1; done
nicferry-agent >>/var/log/nicferry-agent.log 2>&1 &`

// newContainer gets its card only from a controller that takes the agent's certificate.
const newContainer = `docker run -d --init --name own --network none --label nicferry.network=lab busybox sleep 1000000
until docker exec own ip -o -4 addr show dev eth0 | grep 10.77.0; do sleep 0.1; done`

// Machines join by tokens, and people and nodes are let in and shut out;
// at last they do with a CA of the operator's own.
func TestMachinesByToken(t *testing.T) {
	t.Parallel()
	r := fleetOf(t, fleet.Options{})
	r.follow("join-controller")
	r.carry("vm1.token", "vm1", "vm1.token")
	r.carry("vm1.token", "vm1", "used.token")
	r.follow("join-node")
	r.follow("certificates")
	r.follow("refused-token")
	r.follow("fleet-controller")
	r.carry("vm2.token", "vm2", "vm2.token")
	r.step(prose.Step{At: "what ssh does", On: "vm2", Command: joinElsewhere})
	r.follow("people")
	r.follow("rotate")
	r.carry("vm1.token", "vm1", "vm1.token")
	r.follow("rotated")
	r.follow("revoke")
	r.step(prose.Step{At: "a token again", On: "controller", Command: "nicferry token create --node vm2 >vm2.token"})
	r.carry("vm2.token", "vm2", "vm2.token")
	r.step(prose.Step{At: "what ssh does", On: "vm2", Command: joinedAnew})
	r.follow("remove-node")
	r.follow("own-pki")
	for _, name := range []string{"ca.pem", "vm1.pem", "vm1.key"} {
		r.carry(name, "vm1", name)
	}
	r.follow("own-pki-node")
	r.step(prose.Step{At: "a container then", On: "vm1", Command: newContainer})
}
