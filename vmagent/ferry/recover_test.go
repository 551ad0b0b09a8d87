//go:build linux

package ferry

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// holdsFor is how long a process holds a namespace: half of it is longer than any
// machine takes to recover a NIC from there without waiting for the process's end.
const holdsFor = 10 * time.Minute

// F32: a second process keeps the namespace of a container that has died. The
// NIC is recovered all the same, without waiting for it, and the process is named.
func TestF32_StrayProcessInTheNamespace(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := w.make(kind, 0)
			w.in(n, "eth0", true)
			container := start(t, w.inside, "sleep", fmt.Sprint(holdsFor.Seconds()))
			stray := start(t, w.inside, "sleep", fmt.Sprint(holdsFor.Seconds()))
			if err := container.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = container.Wait() // its exit status is the kill
			begun := time.Now()
			_, astray, err := w.ferry.Recover(t.Context(), n.id, n.d, w.inside)
			if took := time.Since(begun); err != nil || astray || took > holdsFor/2 {
				t.Errorf("recovered after %s, astray %t, %v", took, astray, err)
			}
			w.clean(n, 1500)
			holders, err := netns.Holders(w.inside.ID())
			want := netns.Holder{PID: stray.Process.Pid, Comm: "sleep"}
			if err != nil || !slices.Contains(holders, want) {
				t.Errorf("held by %v, %v; want %s", holders, err, want)
			}
			if slices.ContainsFunc(holders, func(h netns.Holder) bool { return h.PID == container.Process.Pid }) {
				t.Errorf("the dead process is among %v", holders)
			}
		})
	}
}

// nest makes a process in a namespace that the container made for itself.
func nest(t *testing.T, w *world) (process *exec.Cmd, nested *netns.Namespace) {
	t.Helper()
	process = start(t, w.inside, "unshare", "--net", "sleep", fmt.Sprint(holdsFor.Seconds()))
	path := fmt.Sprintf("/proc/%d/ns/net", process.Process.Pid)
	w.await("the nested namespace", func() bool {
		id, err := netns.InProcess(process.Process.Pid)
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", process.Process.Pid))
		return err == nil && id != w.inside.ID() && string(comm) == "sleep\n"
	})
	nested, err := netns.Open(path)
	w.ok(err)
	t.Cleanup(func() { nested.Close() })
	return process, nested
}

// S12: the container hides its NIC in a namespace that it made, under other
// names and another MAC, and makes more of its kind.
func TestS12_HiddenInANestedNamespace(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := w.make(kind, 0)
			w.in(n, "eth0", true)
			process, nested := nest(t, w)
			if kind == nic.Macvlan {
				w.run(w.inside, "link", "add", "sibling0", "link", "eth0", "type", "macvlan", "mode", "bridge")
			}
			w.run(w.inside, "link", "set", "eth0", "netns", fmt.Sprint(process.Process.Pid))
			for _, args := range [][]string{
				{"link", "set", "eth0", "name", "secret"},
				{"link", "property", "add", "dev", "secret", "altname", "nfbr0", "altname", n.id.LinkName("nt")},
				{"link", "set", "secret", "address", "02:66:66:66:66:66"},
				{"link", "set", "secret", "up"},
			} {
				w.run(nested, args...)
			}
			if kind != nic.Found { // a card without a permanent MAC has only the alias left
				w.run(nested, "link", "set", "secret", "alias", "nobody's")
			}
			w.ok(w.ferry.Out(t.Context(), n.id, n.d, w.inside)) // not certain: leaves it alone
			if out := w.run(nested, "link", "show", "secret"); !strings.Contains(out, "secret") {
				t.Errorf("out took the NIC from a namespace it was not told of")
			}
			begun := time.Now()
			stray, astray, err := w.ferry.Recover(t.Context(), n.id, n.d, w.inside)
			if took := time.Since(begun); err != nil || !astray || took > holdsFor/2 { // nobody waits for the end of its process
				t.Fatalf("recovered after %s, astray %t, %v", took, astray, err)
			}
			w.clean(n, 1500)
			holder := fmt.Sprintf("process %d (%q)", process.Process.Pid, "sleep")
			if stray.Namespace != nested.ID() || stray.Name != "secret" || !strings.Contains(stray.String(), holder) {
				t.Errorf("it was %s; want %q in %s, held by %s", stray, "secret", nested.ID(), holder)
			}
			if _, astray, err := w.ferry.Recover(t.Context(), n.id, n.d, w.inside); err != nil || astray {
				t.Errorf("once more: astray %t, %v", astray, err)
			}
			w.in(n, "eth0", true)
		})
	}
}

// S12: nobody can find the namespace: the veth is made anew.
func TestS12_HiddenWhereNobodyLooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.make(nic.Veth, 0)
	w.in(n, "eth0", false)
	hidden := netnstest.New(t) // held by our own descriptor, where we do not look
	hide := func() (Stray, bool, error) {
		w.run(w.inside, "link", "set", "eth0", "down")
		there := start(t, hidden, "sleep", fmt.Sprint(holdsFor.Seconds()))
		w.run(w.inside, "link", "set", "eth0", "netns", fmt.Sprint(there.Process.Pid))
		if err := there.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = there.Wait() // its exit status is the kill
		return w.ferry.Recover(t.Context(), n.id, n.d, w.inside)
	}
	stray, astray, err := hide()
	// Another package's test may look through our descriptors, and hold it for a moment.
	for tries := 0; err == nil && stray.Namespace == hidden.ID() && tries < 20; tries++ {
		w.in(n, "eth0", false)
		stray, astray, err = hide()
	}
	if err != nil || !astray || !stray.Remade {
		t.Errorf("got %s, %t, %v; want it remade", stray, astray, err)
	}
	w.clean(n, 1500)
	if out := w.run(hidden, "link"); strings.Contains(out, "eth0") {
		t.Errorf("the old one is still there:\n%s", out)
	}
}

// ride puts a link on the container's eth0 into a process's namespace.
func (w *world) ride(name string, process *exec.Cmd) {
	w.Helper()
	w.run(w.inside, "link", "add", name, "link", "eth0", "type", "macvlan")
	w.run(w.inside, "link", "set", name, "netns", fmt.Sprint(process.Process.Pid))
}

// What rides on a NIC that is unplugged next ends with it, and is not looked for;
// but it is if the NIC is not unplugged after all.
func TestLeaveIsMadeUpFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.make(nic.Found, 0)
	w.in(n, "eth0", false)
	process, nested := nest(t, w)
	w.ride("spy0", process)
	w.ok(w.ferry.Leave(t.Context(), n.id, n.d, w.inside))
	w.clean(n, 1500)
	if out := w.run(nested, "link"); !strings.Contains(out, "spy0") {
		t.Errorf("it was looked for:\n%s", out)
	}
	w.ok(w.ferry.Out(t.Context(), n.id, n.d, nil))
	if out := w.run(nested, "link"); strings.Contains(out, "spy0") {
		t.Errorf("it still rides on the NIC:\n%s", out)
	}
	w.in(n, "eth0", false)
	w.ride("spy1", process)
	w.ok(w.ferry.Leave(t.Context(), n.id, n.d, w.inside))
	w.run(w.host, "link", "del", "wire9") // it is unplugged
	if out := w.run(nested, "link"); strings.Contains(out, "spy1") {
		t.Errorf("it has outlived the NIC:\n%s", out)
	}
}

// S12: hardware leaves nothing behind that rides on it, wherever that is.
func TestS12_ChildInANestedNamespace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.make(nic.Found, 0)
	w.in(n, "eth0", false)
	process, nested := nest(t, w)
	w.ride("spy0", process)
	w.ok(w.ferry.Out(t.Context(), n.id, n.d, w.inside))
	w.clean(n, 1500)
	if out := w.run(nested, "link"); strings.Contains(out, "spy0") {
		t.Errorf("it still rides on the NIC:\n%s", out)
	}
}
