//go:build linux

package vmagent_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent"
	"github.com/nicferry/nicferry/vmagent/containers"
)

func TestAContainersLife(t *testing.T) {
	for _, network := range []string{"veth", "macvlan"} {
		t.Run(network, func(t *testing.T) {
			r := newRig(t)
			before := r.names()
			ns := r.engine.run(t, id(1), map[string]string{nic.LabelNetwork: network})
			claim := r.bound(id(1))
			if got := r.links(ns); !strings.Contains(got, "eth0    inet "+claim.Identity.Addrs[0].String()) {
				t.Errorf("in the container:\n%s\nwant %s on eth0", got, claim.Identity.Addrs[0])
			}
			r.engine.die(id(1))
			r.until("the NIC to be out", func() bool { return r.claims()[id(1)].Phase == nic.ClaimReady })

			ns = r.engine.run(t, id(1), map[string]string{nic.LabelNetwork: network})
			again := r.bound(id(1))
			if again.NIC != claim.NIC || !strings.Contains(r.links(ns), again.Identity.Addrs[0].String()) {
				t.Errorf("started again: %+v\n%s", again, r.links(ns))
			}
			r.engine.die(id(1))
			r.engine.remove(id(1))
			r.until("the claim to be gone", func() bool { return len(r.claims()) == 0 })
			if after := r.names(); after != before {
				t.Errorf("host before:\n%s\nafter:\n%s", before, after)
			}
		})
	}
}

// F50, P4: the agent ends, or dies, and the next one takes over; a running
// container's NIC is not touched.
func TestF50_TheNextAgentAdopts(t *testing.T) {
	for _, network := range []string{"veth", "macvlan"} {
		t.Run(network, func(t *testing.T) {
			r := newRig(t)
			ns := r.engine.run(t, id(1), map[string]string{nic.LabelNetwork: network})
			claim := r.bound(id(1))
			before := netnstest.Run(t, ns, "ip", "-o", "addr", "show", "eth0")
			if err := r.stop(); err != nil {
				t.Fatal(err)
			}
			r.start()
			r.engine.run(t, id(2), map[string]string{nic.LabelNetwork: network})
			r.bound(id(2)) // by now the first has been looked at as well
			if after := netnstest.Run(t, ns, "ip", "-o", "addr", "show", "eth0"); after != before {
				t.Errorf("before:\n%safter:\n%s", before, after)
			}
			if got := r.claims()[id(1)]; got.Phase != nic.ClaimBound || got.NIC != claim.NIC {
				t.Errorf("claim is %s with %s, want bound with %s", got.Phase, got.NIC, claim.NIC)
			}
		})
	}
}

// The controller is away: containers keep their NICs, a stopped one's is
// pulled out all the same, also by an agent that has only its cache.
func TestTheControllerIsAway(t *testing.T) {
	r := newRig(t)
	r.engine.run(t, id(1), map[string]string{nic.LabelNetwork: "veth"})
	claim := r.bound(id(1))
	r.away.set(true)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.engine.die(id(1))
	ns := r.engine.run(t, id(1), map[string]string{nic.LabelNetwork: "veth"}) // restarted meanwhile
	r.until("the NIC to be in the new namespace", func() bool {
		return strings.Contains(r.links(ns), claim.Identity.Addrs[0].String())
	})
	r.away.set(false)
	r.until("the report to arrive", func() bool { return r.claims()[id(1)].Phase == nic.ClaimBound })
}

// F05, F51: the engine's silence is not the container's end while its process
// lives.
func TestF51_AnEngineThatForgotTakesNothing(t *testing.T) {
	r := newRig(t)
	ns := r.engine.space(t)
	process := exec.Command("sleep", "600")
	if err := ns.Do(process.Start); err != nil {
		t.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		process.Process.Kill()
		process.Wait()
	})
	defer end()
	r.engine.runIn(ns, id(1), process.Process.Pid, map[string]string{nic.LabelNetwork: "veth"})
	r.bound(id(1))
	r.engine.change(id(1), func() { r.engine.blind = true })
	r.engine.run(t, id(2), nil)
	for _, agent := range []string{"the agent that brought the NIC in", "the next one"} {
		time.Sleep(300 * time.Millisecond) // it has looked by now, several times
		if got := r.claims()[id(1)]; got.Phase != nic.ClaimBound || !strings.Contains(r.links(ns), "10.0.0.10") {
			t.Fatalf("%s: claim is %s, container has\n%s\nwant it left alone", agent, got.Phase, r.links(ns))
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		r.start()
	}
	claim := r.claims()[id(1)]
	if err := r.alloc.Release(t.Context(), claim.ID, claim.Epoch); err != nil {
		t.Fatal(err)
	}
	r.until("the node to say why it does not give the NIC back", func() bool {
		o := r.view(id(1)).Observed
		return o != nil && len(o.Conditions) == 1 && strings.Contains(o.Conditions[0].Message, "its process lives: start the engine over its old data")
	})
	if !strings.Contains(r.links(ns), "10.0.0.10") {
		t.Errorf("released: the container has\n%s\nwant it left alone", r.links(ns))
	}
	end()
	r.until("the claim to be gone once the process is", func() bool { return len(r.claims()) == 0 })
}

// A NIC that is wanted by nobody leaves nothing in the cache.
func TestHomesGoWithTheWish(t *testing.T) {
	r := newRig(t)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	stale := filepath.Join(r.dir, "homes", "nic-0123456789ab.json")
	if err := errors.Join(os.MkdirAll(filepath.Dir(stale), 0o700), os.WriteFile(stale, []byte("{}"), 0o600)); err != nil {
		t.Fatal(err)
	}
	r.start()
	r.engine.run(t, id(1), map[string]string{nic.LabelNetwork: "veth"})
	claim := r.bound(id(1))
	r.engine.run(t, id(2), map[string]string{nic.LabelNetwork: "veth"})
	r.bound(id(2)) // so that the wishes have changed since the first was at home
	if _, err := os.Stat(stale); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a NIC that nobody wishes for: %v, want no file", err)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "homes", string(claim.NIC)+".json")); err != nil {
		t.Errorf("of a NIC in its container: %v", err)
	}
}

// The commonest mistake: a forgotten --network none. Nothing is made for it.
func TestDockersOwnInterfaceIsLeftAlone(t *testing.T) {
	r := newRig(t)
	before := r.names()
	ns := r.engine.space(t)
	both := map[string]string{nic.LabelNetwork: "veth", nic.LabelNIC + "eth1": "network=veth"}
	beside := func(id string, labels map[string]string, networks ...string) {
		r.engine.change(id, func() {
			r.engine.spaces[id] = ns
			r.engine.all[id] = containers.Container{
				ID: id, Name: "c" + id[60:], Labels: labels, NetworkMode: networks[0], DockerNetworks: networks,
				Running: true, PID: os.Getpid(), StartedAt: time.Now(),
			}
		})
	}
	beside(id(1), both, "bridge", "shop")
	refused := func() (messages []string) {
		views, err := r.alloc.Claims(t.Context(), "", 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range views {
			if v.Phase == nic.ClaimRefused && v.Conditions[0].Reason == nic.ReasonBadRequest {
				messages = append(messages, v.Conditions[0].Message)
			}
		}
		slices.Sort(messages)
		return messages
	}
	r.until("both to be refused", func() bool { return len(refused()) == 2 })
	for n, message := range refused() {
		want := fmt.Sprintf("eth%d is Docker's own interface in the container (Docker network bridge, shop); start it with --network none, or ask for another name with a label such as nicferry.nic.eth2=network=veth", n)
		if !strings.Contains(message, want) {
			t.Errorf("got %q, want %q", message, want)
		}
	}
	if after := r.names(); after != before {
		t.Errorf("host before:\n%s\nafter:\n%s", before, after)
	}
	beside(id(2), map[string]string{nic.LabelNIC + "eth1": "network=veth"}, "bridge")
	r.bound(id(2))
}

func TestF33_ANameThatIsTakenIsTold(t *testing.T) {
	r := newRig(t)
	ns := r.engine.space(t)
	netnstest.Run(t, ns, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other")
	r.engine.runIn(ns, id(1), os.Getpid(), map[string]string{nic.LabelNetwork: "veth"})
	r.until("the node to say what is the matter", func() bool {
		view, err := r.alloc.Claim(t.Context(), r.claims()[id(1)].ID)
		return err == nil && view.Observed != nil && len(view.Observed.Conditions) > 0 &&
			strings.Contains(view.Observed.Conditions[0].Message, "eth0")
	})
	netnstest.Run(t, ns, "ip", "link", "del", "eth0")
	r.bound(id(1))
}

// F65, in small: an agent that was replaced ends by itself.
func TestF65_AReplacedAgentEnds(t *testing.T) {
	r := newRig(t)
	r.engine.run(t, id(1), map[string]string{nic.LabelNetwork: "veth"})
	r.bound(id(1))
	if _, err := r.alloc.Hello(t.Context(), "here", nic.Inventory{}); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-r.ended:
		if !errors.Is(err, vmagent.ErrSuperseded) {
			t.Errorf("it ended with %v, want ErrSuperseded", err)
		}
		r.stop = func() error { return nil }
	case <-time.After(time.Minute):
		t.Error("it goes on")
	}
}

func TestManyContainersAtOnce(t *testing.T) {
	r := newRig(t)
	before := r.names()
	const many = 20
	for n := range many {
		r.engine.run(t, id(n), map[string]string{nic.LabelNetwork: "veth", nic.LabelNIC + "eth1": "network=macvlan"})
	}
	r.until("all claims to be bound", func() bool {
		views, err := r.alloc.Claims(t.Context(), "", 0)
		bound := 0
		for _, v := range views {
			if v.Phase == nic.ClaimBound {
				bound++
			}
		}
		return err == nil && bound == 2*many
	})
	var wg sync.WaitGroup
	for n := range many {
		wg.Go(func() {
			r.engine.die(id(n))
			r.engine.remove(id(n))
		})
	}
	wg.Wait()
	r.until("all claims to be gone", func() bool { return len(r.claims()) == 0 })
	if after := r.names(); after != before {
		t.Errorf("host before:\n%s\nafter:\n%s", before, after)
	}
}
