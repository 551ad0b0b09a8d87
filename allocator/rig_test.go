package allocator_test

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// long says whether the tests take the time that large numbers need.
func long() bool { return os.Getenv("NICFERRY_LONG") != "" }

// ages are how long nothing may change by itself.
func ages() time.Duration {
	if long() {
		return 30 * 24 * time.Hour
	}
	return 24 * time.Hour
}

// networks of the tests: addresses by ipam, few of them; and by DHCP.
func networks() []nic.Network {
	return []nic.Network{
		{
			Name: "web", Provider: "fake", Addressing: nic.AddrIPAM, Space: "default", Hold: nic.Duration(time.Minute), Preplug: nic.Duration(preplug),
			Subnets: []nic.Subnet{
				{
					Prefix: netip.MustParsePrefix("10.0.0.0/24"), Gateway: netip.MustParseAddr("10.0.0.1"),
					Ranges: []nic.Range{{First: netip.MustParseAddr("10.0.0.10"), Last: netip.MustParseAddr("10.0.0.12")}},
				},
				{
					Prefix: netip.MustParsePrefix("fd00::/64"),
					Ranges: []nic.Range{{First: netip.MustParseAddr("fd00::10"), Last: netip.MustParseAddr("fd00::ffff")}},
				},
			},
		},
		{ // the same LAN as web; only web names the gateway
			Name: "web2", Provider: "fake", Addressing: nic.AddrIPAM, Space: "default", Hold: nic.Duration(time.Minute), Preplug: nic.Duration(preplug),
			Subnets: []nic.Subnet{{
				Prefix: netip.MustParsePrefix("10.0.0.0/24"),
				Ranges: []nic.Range{{First: netip.MustParseAddr("10.0.0.1"), Last: netip.MustParseAddr("10.0.0.2")}},
			}},
		},
		{Name: "lab", Provider: "fake", Addressing: nic.AddrDHCP, Space: "default", Hold: nic.Duration(time.Minute), Preplug: nic.Duration(preplug)},
		{Name: "late", Provider: "fake", Addressing: nic.AddrDHCP, Space: "default", Hold: nic.Duration(time.Minute)}, // never ahead
	}
}

// A rig is an allocator over a fake cloud, in a bubble of virtual time.
type rig struct {
	t     *testing.T
	store store.Store
	cloud *fake.Provider
	// via, if set, is what the allocator reaches the cloud through.
	via      provider.Provider
	networks []nic.Network
	alloc    *allocator.Allocator
	stop     func()
	node     nic.Node
	held     struct { // see holdsStill
		at   time.Time
		rev  store.Rev
		seen []nic.Seen
	}
}

// bubble runs test in virtual time with an allocator that is running and a
// node "vm1" that has said hello.
func bubble(t *testing.T, cloud fake.Options, test func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, store: memstore.New(memstore.Options{}), cloud: fake.New(cloud), networks: networks()}
		r.start()
		var err error
		if r.node, err = r.alloc.Hello(t.Context(), "vm1", nic.Inventory{Boot: "b1"}); err != nil {
			t.Fatal(err)
		}
		test(t, r)
		r.stop()
		if err := r.store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// start starts an allocator over what the store holds, as after a crash.
func (r *rig) start() {
	r.t.Helper()
	var cloud provider.Provider = r.cloud
	if r.via != nil {
		cloud = r.via
	}
	r.startWith(allocator.Options{
		Store: r.store, Providers: map[string]provider.Provider{"fake": cloud}, Networks: r.networks,
	})
}

func (r *rig) startWith(opts allocator.Options) {
	r.t.Helper()
	r.startLogging(opts, slog.New(slog.DiscardHandler))
}

func (r *rig) startLogging(opts allocator.Options, log *slog.Logger) {
	r.t.Helper()
	opts.Log = log
	alloc, err := allocator.New(opts)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := alloc.Run(ctx); err != nil {
			r.t.Errorf("allocator ended: %v", err)
		}
	})
	r.alloc, r.stop = alloc, func() { cancel(); wg.Wait() }
}

// crash ends the allocator wherever it is and starts another.
func (r *rig) crash() {
	r.stop()
	r.start()
}

func sandbox(name string) string { return strings.Repeat("0", 60) + name }

func owner(name string) nic.Owner {
	return nic.Owner{Node: "vm1", Kind: nic.OwnerContainer, Sandbox: sandbox(name), Interface: "eth0"}
}

// acquire asks for a NIC of the network for the container name (4 hex digits).
func (r *rig) acquire(name, network string, addrs ...string) nic.Claim {
	r.t.Helper()
	req := nic.Request{Interface: "eth0", Network: network, DefaultRoute: true}
	for _, a := range addrs {
		req.Addrs = append(req.Addrs, netip.MustParseAddr(a))
	}
	claim, err := r.alloc.Acquire(r.t.Context(), owner(name), name, req)
	if err != nil {
		r.t.Fatalf("acquire for %s: %v", name, err)
	}
	return claim
}

// claim reads a claim afresh; the zero Claim if it is gone.
func (r *rig) claim(id nic.ClaimID) nic.Claim {
	view, err := r.alloc.Claim(r.t.Context(), id)
	if err != nil {
		return nic.Claim{}
	}
	return view.Claim
}

// wait lets virtual time pass.
func (r *rig) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// wants waits for a claim to be in a phase.
func (r *rig) wants(id nic.ClaimID, phase nic.ClaimPhase, within time.Duration) nic.Claim {
	r.t.Helper()
	for end := time.Now().Add(within); ; r.wait(50 * time.Millisecond) {
		claim := r.claim(id)
		if claim.Phase == phase {
			return claim
		}
		if time.Now().After(end) {
			r.t.Fatalf("claim is %+v after %s, want phase %q", claim, within, phase)
		}
	}
}

// report has the node say how far a claim's NIC is.
func (r *rig) report(claim nic.Claim, state nic.ObservedState, running bool) {
	r.t.Helper()
	err := r.alloc.Report(r.t.Context(), "vm1", nic.NodeReport{Session: r.node.Session, NICs: []nic.Observed{{
		NIC: claim.NIC, Claim: claim.ID, Epoch: claim.Epoch, State: state, Running: running,
	}}})
	if err != nil {
		r.t.Fatalf("report %s: %v", state, err)
	}
	synctest.Wait()
}

// empty checks that nothing is left: no record but the node and the leader's,
// no NIC in the cloud.
func (r *rig) empty() {
	r.t.Helper()
	r.emptyStore()
	seen, err := r.cloud.List(r.t.Context())
	if err != nil || len(seen) > 0 {
		r.t.Errorf("left in the cloud: %v, %v", seen, err)
	}
	if public := r.cloud.Public(); len(public) > 0 {
		r.t.Errorf("left in the cloud: public addresses %v", public)
	}
}

// emptyStore checks that no record is left but the node's and the leader's; the
// books of a provider that is given the store are in it too.
func (r *rig) emptyStore() {
	r.t.Helper()
	records, _, err := r.store.List(r.t.Context(), "", "", 0)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, rec := range records {
		if !strings.HasPrefix(rec.Key, "node/") && !strings.HasPrefix(rec.Key, "leader/") {
			r.t.Errorf("left in the store: %s = %s", rec.Key, rec.Value)
		}
	}
}
