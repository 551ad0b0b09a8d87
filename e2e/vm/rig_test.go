//go:build linux

package vm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/cluster"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/internal/virt"
	"github.com/nicferry/nicferry/nic"
)

// patience bounds the wait for what takes a second or two in a guest that has a
// processor of its own.
const patience = time.Minute

// long says that the long tests are asked for. The others run in them too.
func long() bool { return os.Getenv("NICFERRY_LONG") != "" }

// rounds is how often a test repeats itself: few times, or many in the long tests.
func rounds(few, many int) int {
	if long() {
		return many
	}
	return few
}

// A rig is the lab that all tests share, in the hands of one test.
type rig struct {
	*cluster.Cluster
	t *testing.T
}

// use gives the test the lab, with no container and no NIC in it. At the test's
// end its containers are removed and nothing else of it may be left; see
// leftovers. Tests that use the lab are not parallel.
func use(t *testing.T) *rig {
	t.Helper()
	netnstest.RequireRoot(t)
	c, err := bringUp()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := strangers(); err != nil {
		t.Fatal(err)
	}
	r := &rig{c, t}
	t.Cleanup(r.end)
	return r
}

// node is guest i, from 1.
func (r *rig) node(i int) *cluster.Node { return r.Nodes()[i-1] }

// must is for errors that end the test.
func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// until asks again and again until there is no error. The test ends with the
// last one after within.
func (r *rig) until(what string, within time.Duration, ask func(context.Context) error) {
	r.t.Helper()
	r.must(await(r.t.Context(), what, within, ask))
}

func await(ctx context.Context, what string, within time.Duration, ask func(context.Context) error) error {
	return lab.Until(ctx, what, within, 100*time.Millisecond, ask)
}

// host runs a command on the machine that the guests run on.
func (r *rig) host(args ...string) string {
	r.t.Helper()
	out, err := r.Host().Run(r.t.Context(), args[0], args[1:]...)
	r.must(err)
	return out
}

// virsh runs virsh against the lab's libvirtd.
func (r *rig) virsh(args ...string) string {
	r.t.Helper()
	return r.host(append([]string{"virsh", "-c", r.Host().URI()}, args...)...)
}

// lan runs a command beside the router, outside of all guests.
func (r *rig) lan(args ...string) string {
	r.t.Helper()
	return r.host(append([]string{"ip", "netns", "exec", cluster.LAN}, args...)...)
}

// sh runs a script in a guest and returns what it prints, without the last
// line's end.
func (r *rig) sh(n *cluster.Node, script string) string {
	r.t.Helper()
	out, err := n.Command(r.t.Context(), "sh", "-ec", script).Output()
	r.must(err)
	return strings.TrimSpace(string(out))
}

// docker runs Docker's CLI in a guest and returns what it prints.
func (r *rig) docker(n *cluster.Node, args ...string) string {
	r.t.Helper()
	out, err := n.Docker(r.t.Context(), args...)
	r.must(err)
	return out
}

// run starts a container that sleeps, without any network of Docker's. More are
// arguments of docker run, such as --label nicferry.network=lab.
func (r *rig) run(n *cluster.Node, name string, more ...string) {
	r.t.Helper()
	args := append([]string{"run", "-d", "--init", "--network", "none", "--name", name}, more...)
	r.docker(n, append(args, lab.ImageName)...)
}

// list asks the controller for all objects of a kind.
func list[T any](ctx context.Context, c *cluster.Cluster, kind string) ([]T, error) {
	out, err := c.CLI(ctx, "get", kind, "-o", "json")
	if err != nil {
		return nil, err
	}
	var all api.List[T]
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		return nil, fmt.Errorf("read %s: %w", kind, err)
	}
	return all.Items, nil
}

// claim is that of the container's eth0, or an error where there is none.
func (r *rig) claim(ctx context.Context, container string) (api.ClaimView, error) {
	claims, err := list[api.ClaimView](ctx, r.Cluster, "claims")
	if err != nil {
		return api.ClaimView{}, err
	}
	for _, c := range claims {
		if c.Container == container && c.Request.Interface == "eth0" {
			return c, nil
		}
	}
	return api.ClaimView{}, fmt.Errorf("no claim of container %s", container)
}

// claimed waits until the container's claim is in the phase.
func (r *rig) claimed(container string, phase nic.ClaimPhase) api.ClaimView {
	r.t.Helper()
	var found api.ClaimView
	r.until(fmt.Sprintf("the claim of %s to be %s", container, phase), patience, func(ctx context.Context) (err error) {
		found, err = r.claim(ctx, container)
		if err == nil && found.Phase != phase {
			err = fmt.Errorf("it is %s: %v", found.Phase, found.Conditions)
		}
		return err
	})
	return found
}

// A card is a container's eth0.
type card struct {
	MAC  string
	Addr netip.Prefix // its first IPv4 address
}

// eth0 waits until the container's claim is bound and looks at the card itself.
func (r *rig) eth0(n *cluster.Node, container string) card {
	r.t.Helper()
	var found card
	r.until("eth0 of "+container, patience, func(ctx context.Context) error {
		claim, err := r.claim(ctx, container)
		if err == nil && claim.Phase != nic.ClaimBound {
			err = fmt.Errorf("its claim is %s: %v", claim.Phase, claim.Conditions)
		}
		if err != nil {
			return err
		}
		out, err := n.Docker(ctx, "exec", container, "sh", "-ec", "cat /sys/class/net/eth0/address; ip -4 -o addr show dev eth0")
		if err != nil {
			return err
		}
		mac, rest, _ := strings.Cut(out, "\n")
		words := strings.Fields(rest)
		at := slices.Index(words, "inet")
		if at < 0 {
			return fmt.Errorf("eth0 has no address: %q", out)
		}
		found.MAC = mac
		found.Addr, err = netip.ParsePrefix(words[at+1])
		return err
	})
	return found
}

// pings demands that an address answers a ping from outside of all guests.
func (r *rig) pings(addr netip.Addr) {
	r.t.Helper()
	r.lan("ping", "-c", "3", "-i", "0.2", "-W", "3", addr.String())
}

// cards are the domain's NICs of ours, in its live and its stored definition.
func (r *rig) cards(domain string) (live, stored []virt.Interface) {
	r.t.Helper()
	d, err := r.Virt().Domain(r.t.Context(), domain)
	r.must(err)
	return ours(d.Live), ours(d.Stored)
}

// aliasPrefix is that of every card of ours.
const aliasPrefix = "ua-nicferry-"

func ours(cards []virt.Interface) []virt.Interface {
	return slices.DeleteFunc(slices.Clone(cards), func(i virt.Interface) bool { return !strings.HasPrefix(i.Alias, aliasPrefix) })
}

var errLeft = errors.New("left behind")
