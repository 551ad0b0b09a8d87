//go:build linux

package ferry

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/internal/cloudsim/imds"
	"github.com/nicferry/nicferry/internal/metadata"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

func (w *world) holes(table int) (out []string) {
	w.Helper()
	holes, err := w.links.Blackholes()
	w.ok(err)
	for _, r := range holes {
		if r.Table == table {
			out = append(out, r.To.Addr().String())
		}
	}
	return out
}

var allMetadata = []string{"169.254.169.254", "100.100.100.200", "fd00:ec2::254"}

func TestS15_MetadataIsBlackholed(t *testing.T) {
	t.Parallel()
	for _, ipv6 := range []bool{false, true} {
		w := newWorld(t)
		n := w.make(nic.Veth, 0)
		w.run(w.inside, "route", "add", "blackhole", "10.66.0.0/16")
		l := w.in(n, "eth0", ipv6)
		sameSet(t, "blackholes", w.holes(mainTable), allMetadata)
		want := withDefault(layer3("10.1.0.2/24"), "10.1.0.1")
		want.IPv6 = ipv6
		// As a hostile DHCP server might have it.
		want.Routes = []nic.Route{via("169.254.169.254/32", "10.1.0.9"), via("10.4.0.0/16", "10.1.0.9")}
		w.ok(w.ferry.Apply(t.Context(), w.inside, l.Index, want))
		sameSet(t, "blackholes", w.holes(mainTable), allMetadata)
		w.layer3Is(t, l, []string{"10.1.0.2/24"}, []string{"0.0.0.0/0 via 10.1.0.1", "10.4.0.0/16 via 10.1.0.9"})
		// By a rule nobody gets around them.
		want.SourceRoutes = true
		w.ok(w.ferry.Apply(t.Context(), w.inside, l.Index, want))
		sameSet(t, "blackholes of the source table", w.holes(sourceTable(l.Index)), allMetadata)
		// Allowed: ours go, the container's own stays.
		want.Metadata = true
		for range 2 {
			_, err := w.ferry.In(t.Context(), n.id, n.d, w.inside, NewEntry("eth0", want, true))
			w.ok(err)
			w.ok(w.ferry.Apply(t.Context(), w.inside, l.Index, want))
		}
		sameSet(t, "blackholes", append(w.holes(mainTable), w.holes(sourceTable(l.Index))...), nil)
		for _, from := range [][]string{nil, {"from", "10.1.0.2"}} {
			out := w.run(w.inside, append([]string{"route", "get", "169.254.169.254"}, from...)...)
			if !strings.Contains(out, "via 10.1.0.9") {
				t.Errorf("allowed, and %s", out)
			}
		}
		if out := w.run(w.inside, "route"); !strings.Contains(out, "blackhole 10.66.0.0/16") {
			t.Errorf("the container's own blackhole is gone:\n%s", out)
		}
		w.in(n, "eth0", ipv6)
		sameSet(t, "blackholes again", w.holes(mainTable), allMetadata)
	}
}

// A move that fails takes the blackholes back.
func TestBlackholesAreUndone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.make(nic.Veth, 0)
	bad := n.d
	bad.MTU = 1 << 20
	if _, err := w.ferry.In(t.Context(), n.id, bad, w.inside, Entry{Name: "eth0"}); err == nil {
		t.Fatal("an MTU of a mebibyte was accepted")
	}
	sameSet(t, "blackholes", w.holes(mainTable), nil)
	w.ok(w.ferry.Out(t.Context(), n.id, n.d, w.inside))
	w.in(n, "eth0", false)
	sameSet(t, "blackholes", w.holes(mainTable), allMetadata)
}

// Nobody gets around the blackholes by binding a socket to the NIC: the kernel takes
// for on-link what no route leads to, and a cloud answers there.
func TestS15_ABoundSocketReachesNoMetadata(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := w.make(kind, 0)
			wire := map[nic.DeviceKind]string{nic.Veth: "nfbr0", nic.Macvlan: "wire0", nic.Found: "wire9"}[kind]
			for _, a := range append([]string{"10.1.0.1/24", "fd00:ec2::1/64"}, allMetadata...) {
				w.run(w.host, "addr", "add", a, "dev", wire, "nodad")
			}
			want := withDefault(layer3("10.1.0.2/24", "fd00:ec2::2/64"), "10.1.0.1", "fd00:ec2::1")
			want.IPv6 = true
			w.ok(w.inside.SetSysctl("0", "ipv6", "conf", "default", "dad_transmits"))
			reached := func(when string, allowed bool) {
				w.Helper()
				l, err := w.ferry.In(t.Context(), n.id, n.d, w.inside, NewEntry("eth0", want, allowed))
				if err != nil {
					t.Fatalf("%s: %v; on the node are\n%s", when, err, netnstest.Run(t, w.host, "ip", "-d", "link"))
				}
				w.ok(w.ferry.Apply(t.Context(), w.inside, l.Index, want))
				netnstest.Run(t, w.inside, "ping", "-c", "1", "-W", "5", "-I", "eth0", "10.1.0.1")
				wait := []string{"-W", "0.3"}
				if allowed { // one alone may be lost while the neighbour is looked for anew
					wait = []string{"-w", "30"}
				}
				for _, to := range allMetadata {
					var failed error
					w.ok(w.inside.Do(func() error {
						failed = exec.Command("ping", append(wait, "-c", "1", "-I", "eth0", to)...).Run()
						return nil
					}))
					if (failed == nil) != allowed {
						t.Errorf("%s: %s answers: %t", when, to, failed == nil)
					}
				}
			}
			reached("at first", false)
			w.run(w.inside, "link", "set", "eth0", "down")
			netnstest.Run(t, w.inside, "tc", "qdisc", "del", "dev", "eth0", "clsact")
			reached("put right", false)
			reached("allowed", true)
			reached("no more", false)
			w.ok(w.ferry.Out(t.Context(), n.id, n.d, w.inside))
			at, _, err := w.maker.Locate(t.Context(), n.id, n.d)
			w.ok(err)
			if out := netnstest.Run(t, w.host, "tc", "qdisc", "show", "dev", at.Link.Name); strings.Contains(out, "clsact") {
				t.Errorf("at home it has %s", out)
			}
			reached("in again", false)
		})
	}
}

// Of no cloud's metadata does a container get the identity that an instance is told,
// and so no role's keys: not even by a socket that is bound to the NIC. One that may
// gets it.
func TestS15_NoCloudTellsAContainer(t *testing.T) {
	t.Parallel()
	for at, cloud := range map[string]struct {
		service imds.Dialect
		client  metadata.Dialect
	}{"169.254.169.254": {imds.EC2(), metadata.EC2()}, "100.100.100.200": {imds.ECS(), metadata.ECS()}} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := w.make(nic.Veth, 0)
			for _, a := range []string{"10.1.0.1/24", at} {
				w.run(w.host, "addr", "add", a, "dev", "nfbr0")
			}
			service := imds.New(imds.Options{Source: guest{}, Dialect: cloud.service})
			var l *imds.Listener
			w.ok(w.host.Do(func() (err error) { l, err = service.Listen(t.Context(), "i-1", at+":80"); return err }))
			t.Cleanup(func() { l.Close() })
			for _, allowed := range []bool{false, true, false} {
				link, err := w.ferry.In(t.Context(), n.id, n.d, w.inside, NewEntry("eth0", withDefault(layer3("10.1.0.2/24"), "10.1.0.1"), allowed))
				w.ok(err)
				want := withDefault(layer3("10.1.0.2/24"), "10.1.0.1")
				want.Metadata = allowed
				w.ok(w.ferry.Apply(t.Context(), w.inside, link.Index, want))
				for _, bound := range []string{"", "eth0"} {
					if err := w.identity(cloud.client, bound, allowed); (err == nil) != allowed || err != nil && !errors.Is(err, metadata.ErrNone) {
						t.Errorf("allowed %t, bound to %q: %v", allowed, bound, err)
					}
				}
			}
		})
	}
}

// guest is an instance that is told who it is.
type guest struct{}

func (guest) Guest(string) (cloudsim.Guest, error) {
	return cloudsim.Guest{Instance: cloudsim.Instance{ID: "i-1", Type: "m5.large", Zone: "eu-central-1a"}, Region: "eu-central-1"}, nil
}

// identity asks for it from inside, by a socket that is bound to a NIC if one is named.
// Where nobody is to answer a second is enough to see that.
func (w *world) identity(cloud metadata.Dialect, device string, answered bool) error {
	w.Helper()
	patience := time.Second
	if answered {
		patience = 30 * time.Second
	}
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		if device == "" {
			return nil
		}
		var set error
		err := c.Control(func(fd uintptr) { set = unix.BindToDevice(int(fd), device) })
		return errors.Join(err, set)
	}}
	c, err := metadata.New(metadata.Options{
		Dialect: cloud, Log: slog.New(slog.DiscardHandler), Patience: patience,
		Dial: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
			err = w.inside.Do(func() (err error) { conn, err = dialer.DialContext(ctx, network, address); return err })
			return conn, err
		},
	})
	w.ok(err)
	defer c.Close()
	_, err = c.Identity(w.Context())
	return err
}

// F54: a NIC in use that an agent of before has brought in without the guard does not
// get it, for that would cost what it sends in the meantime.
func TestF54_ANICInUseIsNotStoppedForItsGuard(t *testing.T) {
	t.Parallel()
	for _, kind := range kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := w.make(kind, 0)
			guarded := func() bool {
				return strings.Contains(netnstest.Run(t, w.inside, "tc", "qdisc", "show", "dev", "eth0"), "clsact")
			}
			w.in(n, "eth0", false)
			if !guarded() {
				t.Error("brought in, it has no guard")
			}
			netnstest.Run(t, w.inside, "tc", "qdisc", "del", "dev", "eth0", "clsact")
			w.in(n, "eth0", false)
			if guarded() {
				t.Error("it got its guard while it was up")
			}
			w.run(w.inside, "link", "set", "eth0", "down")
			w.in(n, "eth0", false)
			if !guarded() {
				t.Error("it was down, and has no guard")
			}
		})
	}
}
