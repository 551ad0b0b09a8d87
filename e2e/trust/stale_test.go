//go:build linux

package trust

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// claims are all there are.
func (r *rig) claims() []api.ClaimView {
	r.t.Helper()
	var list api.List[api.ClaimView]
	out := r.cli("get", "claims", "-o", "json")
	if json.Unmarshal([]byte(out), &list) != nil || list.Items == nil {
		r.do(json.Unmarshal([]byte(out), &list.Items))
	}
	return list.Items
}

// none waits until there is nothing of a kind.
func (r *rig) none(kind string) {
	r.t.Helper()
	r.await(`\A\s*\z`, func() (string, error) { return r.CLI(r.t.Context(), "get", kind, "-o", "name") })
}

// claim is the only claim there is.
func (r *rig) claim() api.ClaimView {
	r.t.Helper()
	all := r.claims()
	if len(all) != 1 {
		r.t.Fatalf("%d claims, want one: %+v", len(all), all)
	}
	return all[0]
}

// asleep stops a program with SIGSTOP until the returned function is called, at the
// latest when the test ends.
func (r *rig) asleep(d *lab.Daemons, name string) (wake func()) {
	r.t.Helper()
	p := d.Process(name)
	r.do(p.Signal(syscall.SIGSTOP))
	wake = func() { p.Signal(syscall.SIGCONT) }
	r.t.Cleanup(wake)
	return wake
}

// repoint gives a claim to a container of another node, in the store of a controller
// that is down.
func (r *rig) repoint(id nic.ClaimID, to nic.Owner, container string) {
	r.t.Helper()
	records, err := boltstore.Open(r.t.Context(), r.StorePath(), boltstore.Options{})
	r.do(err)
	alloc, err := allocator.New(allocator.Options{
		Store: records, Providers: map[string]provider.Provider{"local": fake.New(fake.Options{})},
		Networks: []nic.Network{{Name: "fixed", Provider: "local", Addressing: nic.AddrIPAM, Space: "default"}}, Log: slog.New(slog.DiscardHandler),
	})
	r.do(err)
	_, err = alloc.Repoint(r.t.Context(), id, allocator.Move{To: to, Container: container})
	r.do(err)
	r.do(records.Close())
}

// talks waits until a machine has so many connections to the controller, which may
// be asleep.
func (r *rig) talks(a *fleet.Agent, least int) {
	r.t.Helper()
	r.do(fleet.Until(r.t.Context(), "connections to the controller", func() error {
		out, err := a.Machine.Run(r.t.Context(), "ss", "-Htn", "state", "established", "dst", r.HostPort())
		if n := strings.Count(out, "\n"); err == nil && n < least {
			err = fmt.Errorf("there are %d:\n%s", n, out)
		}
		return err
	}))
}

// conflicts is the series of calls of an operation that were refused as stale.
func conflicts(operation string) string {
	return `nicferry_api_requests_total{code="409",operation="` + operation + `"}`
}

// F65: an agent sleeps while its claim moves on to a container of another machine.
// What it says when it wakes up is refused by the epoch, before it could have heard
// of it; then it gives back what it has, and serves on. The other's NIC comes up
// with the address, and stays.
func TestF65_AnAgentThatSleptIsRefusedByEpoch(t *testing.T) {
	t.Parallel()
	r := start(t, fleet.Options{Agents: 2})
	vm1, vm2 := r.Agents[0], r.Agents[1]
	r.run(vm1, "web", "nicferry.network=fixed")
	addr := r.address(vm1, "web")
	r.await("bound", func() (string, error) { return r.CLI(t.Context(), "get", "claims") })
	had := r.claim()
	r.do(vm2.Stop(t.Context()))
	r.run(vm2, "moved", "nicferry.network=fixed")
	id, err := vm2.Docker(t.Context(), "inspect", "-f", "{{.Id}}", "moved")
	r.do(err)

	wakeAgent := r.asleep(vm1.Daemons(), fleet.Nicferry)
	_, err = vm1.Docker(t.Context(), "rm", "-f", "web") // so that it has something to say
	r.do(err)
	r.do(r.StopController(t.Context()))
	to := nic.Owner{Node: "vm2", Kind: nic.OwnerContainer, Sandbox: strings.TrimSpace(id), Interface: "eth0"}
	r.repoint(had.ID, to, "moved")
	r.do(r.StartController(t.Context()))
	if now := r.claim(); now.ID != had.ID || now.Epoch != had.Epoch+1 || now.Owner != to {
		t.Fatalf("moved, the claim is %+v", now)
	}
	r.do(vm2.Start(t.Context()))

	wakeController := r.asleep(r.Daemons(), fleet.Controller)
	wakeAgent()
	r.talks(vm1, 2) // its watch, and what it knows of its dead container
	wakeController()
	r.wantValue(r.Machine, controllerMetrics, conflicts("release"), moreThan(0))
	if got := r.address(vm2, "moved"); got != addr {
		t.Errorf("moved, the container has %s, want %s", got, addr)
	}
	done := r.ping(vm2, addr, time.Second)
	r.await("refuses what is stale", func() (string, error) { return vm1.Log(), nil })
	r.run(vm1, "next", "nicferry.network=fixed")
	if next := r.address(vm1, "next"); next == addr {
		t.Errorf("two containers have %s", addr)
	}
	done()
	for _, now := range r.claims() {
		if now.ID == had.ID && (now.Owner != to || now.Epoch != had.Epoch+1 || now.Identity.MAC != had.Identity.MAC) {
			t.Errorf("in the end the claim is %+v", now)
		}
	}
}

// F65: an agent sleeps while another takes its place, and the address of its
// container passes to a new one. When it wakes up it is refused by its session
// whatever it asks, touches nothing, and ends for good.
func TestF65_AnAgentThatSleptIsRefusedBySession(t *testing.T) {
	t.Parallel()
	r := start(t, fleet.Options{})
	vm1 := r.Agents[0]
	r.run(vm1, "web", "nicferry.network=fixed", "nicferry.ip=10.77.1.150")
	r.address(vm1, "web")
	had := r.claim()

	wakeAgent := r.asleep(vm1.Daemons(), fleet.Nicferry)
	config, other := vm1.ConfigPath(), vm1.File("other.yaml")
	_, err := vm1.Machine.Run(t.Context(), "sh", "-c", "sed 's|^runDir: .*|&2|' "+config+" > "+other+"; printf 'metrics: {address: \"\"}\\n' >> "+other)
	r.do(err)
	r.do(vm1.Daemons().Start(lab.Program{Name: "other", Args: []string{r.Program("nicferry-agent"), "--config", other}}))
	r.do(vm1.AwaitSession(t.Context(), 1))
	_, err = vm1.Docker(t.Context(), "rm", "-f", "web")
	r.do(err)
	r.none("claims")
	r.run(vm1, "heir", "nicferry.network=fixed", "nicferry.ip=10.77.1.150")
	addr := r.address(vm1, "heir")
	has := r.claim()
	done := r.ping(vm1, addr, 3*time.Second)
	wakeAgent()
	r.do(vm1.Daemons().Ended(t.Context(), fleet.Nicferry, 6)) // "another agent has started"
	done()
	if now := r.claim(); has.ID == had.ID || now.ID != has.ID || now.NIC != has.NIC || now.Phase != nic.ClaimBound || now.Epoch != has.Epoch {
		t.Errorf("its heir's claim was %+v and is %+v", has, now)
	}
	r.match(vm1.Log(), "another agent has started")
	_, err = vm1.Docker(t.Context(), "rm", "-f", "heir")
	r.do(err)
	r.none("claims")
	r.do(vm1.Daemons().Stop(t.Context(), "other"))
}

// S2: a node is revoked. Its containers keep their NICs and lose no packet, and it
// gets nothing more; a new token has it back, and all goes on.
func TestS2_ARevokedNodeGetsNothing(t *testing.T) {
	t.Parallel()
	r := start(t, fleet.Options{})
	vm1 := r.Agents[0]
	r.run(vm1, "web", "nicferry.network=fixed")
	addr := r.address(vm1, "web")
	done := r.ping(vm1, addr, 4*time.Second)
	r.match(r.refused("node", "revoke", "vm1"), "nothing was done")
	r.match(r.cli("node", "revoke", "vm1", "--yes"), `kept +clm-.* +web`)
	r.match(r.cli("get", "nodes"), `vm1 +revoked`)
	r.match(r.cli("describe", "claim", "web"), "NodeRevoked")
	r.wantValue(r.Machine, controllerMetrics, `nicferry_api_requests_total{code="403",operation="hello"}`, moreThan(0))
	r.run(vm1, "more", "nicferry.network=fixed")
	done()
	if all := r.claims(); len(all) != 1 {
		t.Errorf("it got a claim: %+v", all)
	}
	r.match(r.refused("node", "remove", "vm1", "--yes"), `it has 1 claims, of "web"`)

	token, err := vm1.Token(t.Context())
	r.do(err)
	_, err = vm1.JoinWith(t.Context(), token, "--force") // the agent takes the new certificate up by itself
	r.do(err)
	r.address(vm1, "more")
	r.match(r.cli("get", "nodes"), `vm1 +ready`)
	if strings.Contains(r.cli("describe", "claim", "web"), "NodeRevoked") {
		t.Error("back, its claim still says that the node is revoked")
	}
	_, err = vm1.Docker(t.Context(), "rm", "-f", "web", "more")
	r.do(err)
	r.none("claims")
	r.do(vm1.Stop(t.Context()))
	r.match(r.cli("node", "remove", "vm1", "--yes"), "node vm1")
	r.match(r.refused("get", "nodes", "vm1"), "vm1")
}
