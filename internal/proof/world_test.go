package proof

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

const cloudName = "cloud"

// long says that the long runs are asked for.
func long() bool { return os.Getenv("NICFERRY_LONG") != "" }

// counts has the suite print what was counted.
func counts(t *testing.T, format string, args ...any) {
	t.Helper()
	t.Attr("counts", fmt.Sprintf(format, args...))
	t.Logf(format, args...)
}

// hold is how long a stopped container keeps its NIC, where time is virtual.
const hold = time.Minute

// A reserve is what the nodes keep of a network.
type reserve struct {
	nic.Pool
	cooldown time.Duration
}

// networks are few addresses by ipam, plenty of them, and none at all; and two
// that may have a pool.
func networks(hold time.Duration, pools map[string]reserve) []nic.Network {
	ranges := func(first, last string) []nic.Subnet {
		return []nic.Subnet{{
			Prefix: netip.MustParsePrefix("10.0.0.0/16"), Gateway: netip.MustParseAddr("10.0.0.1"),
			Ranges: []nic.Range{{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)}},
		}}
	}
	all := []nic.Network{
		{Name: "few", Provider: cloudName, Addressing: nic.AddrIPAM, Space: "default", Hold: nic.Duration(hold), Subnets: ranges("10.0.1.1", "10.0.1.3")},
		{Name: "many", Provider: cloudName, Addressing: nic.AddrIPAM, Space: "default", Hold: nic.Duration(hold), Subnets: ranges("10.0.2.0", "10.0.3.255")},
		{Name: "wire", Provider: cloudName, Addressing: nic.AddrDHCP, Space: "default", Hold: nic.Duration(hold)},
		{Name: "warm", Provider: cloudName, Addressing: nic.AddrIPAM, Space: "default", Hold: nic.Duration(hold), Subnets: ranges("10.0.4.0", "10.0.5.255")},
		{Name: "tepid", Provider: cloudName, Addressing: nic.AddrDHCP, Space: "default", Hold: nic.Duration(hold)},
	}
	for i := range all {
		of := pools[all[i].Name]
		all[i].Pool, all[i].Cooldown = of.Pool, nic.Duration(of.cooldown)
	}
	return all
}

// A world is a controller over a store and a cloud, with agents on nodes. It
// lives in a bubble of virtual time.
type world struct {
	store  store.Store // as the controller sees it
	truth  store.Store // as it is
	cloud  *fake.Provider
	via    provider.Provider // what the controller reaches the cloud through
	alloc  *allocator.Allocator
	agents []*agent
	hold   time.Duration
	pools  map[string]reserve // by network; none unless a proof says so
	strays map[string]string  // the cloud's foreign NICs, as they must stay
	end    func() error
}

// slowly is a cloud with the manners of a real one.
func slowly() fake.Options {
	return fake.Options{
		Name:     cloudName,
		Latency:  fake.Latency{Create: time.Second, Attach: 5 * time.Second, Detach: 10 * time.Second, Delete: 2 * time.Second},
		Lag:      2 * time.Second,
		CallTime: 200 * time.Millisecond,
	}
}

// newWorld makes a world whose controller is running and whose nodes have said
// hello. around, if given, stands between the controller and its store.
func newWorld(t testing.TB, cloud fake.Options, around func(store.Store) store.Store, nodes ...string) *world {
	t.Helper()
	w := &world{truth: memstore.New(memstore.Options{}), cloud: fake.New(cloud), hold: hold}
	w.store, w.via = w.truth, w.cloud
	if around != nil {
		w.store = around(w.truth)
	}
	w.cloud.Plant(fake.Foreign{ProviderID: "x-1", Name: "nic-0000000000000001", Instance: nic.InstanceID(nodes[0])}, fake.Foreign{ProviderID: "x-2", Name: "nobody's"})
	w.strays = w.foreign()
	for _, name := range nodes {
		w.agents = append(w.agents, newAgent(name))
	}
	if err := w.start(); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) foreign() map[string]string {
	all := map[string]string{}
	for _, f := range w.cloud.Foreign() {
		all[f.ProviderID] = fmt.Sprintf("%+v", f)
	}
	return all
}

// start starts a controller over what the store holds.
func (w *world) start() error {
	alloc, err := allocator.New(allocator.Options{
		Store: w.store, Providers: map[string]provider.Provider{cloudName: w.via},
		Networks: networks(w.hold, w.pools), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var ended error
	wg.Go(func() { ended = alloc.Run(ctx) })
	w.alloc, w.end = alloc, func() error { cancel(); wg.Wait(); return ended }
	return nil
}

// crash ends the controller wherever it is and starts another.
func (w *world) crash() error { return errors.Join(w.end(), w.start()) }

// close ends everything.
func (w *world) close() error { return errors.Join(w.end(), w.truth.Close()) }

// look takes a picture of everything while nothing moves.
func (w *world) look() (invariant.World, error) {
	synctest.Wait()
	ctx := context.Background()
	records, err := allocator.ReadRecords(ctx, w.truth)
	if err != nil {
		return invariant.World{}, err
	}
	return invariant.World{
		Now: time.Now(), Records: records,
		Providers: map[string]invariant.Provider{cloudName: {NICs: latest(w.cloud)}},
		Nodes:     links(w.agents),
		Strangers: invariant.Strangers{NICs: w.strays, NICsNow: w.foreign()},
	}, nil
}

// check looks at everything and returns what must not be.
func (w *world) check() error {
	looked, err := w.look()
	if err != nil {
		return err
	}
	return invariant.Error(invariant.Check(looked))
}

// empty demands that no record is left but those of nodes and leaders, and what
// is remembered for a while of identities that nobody has; and no NIC in the
// cloud.
func (w *world) empty() error { return empty(w.truth, latest(w.cloud)) }

func empty(s store.Store, left []nic.Seen) error {
	records, _, err := s.List(context.Background(), "", "", 0)
	errs := []error{err}
	for _, r := range records {
		kind, _, _ := strings.Cut(r.Key, "/")
		switch kind + "/" {
		case "node/", store.LeaderPrefix:
		case "addr/", "mac/", "kept/":
			var rests struct{ Until time.Time }
			if json.Unmarshal(r.Value, &rests) == nil && !rests.Until.IsZero() {
				continue
			}
			fallthrough
		default:
			errs = append(errs, fmt.Errorf("left in the store: %s = %s", r.Key, r.Value))
		}
	}
	for _, seen := range left {
		errs = append(errs, fmt.Errorf("left in the cloud: %+v", seen))
	}
	return errors.Join(errs...)
}

// round lets every agent do its work once.
func (w *world) round() error {
	var errs []error
	for _, a := range w.agents {
		errs = append(errs, a.work(context.Background(), w.alloc))
	}
	return errors.Join(errs...)
}

// pass lets time pass, in which the agents work every second. It ends a second
// after they have: who asks for what cannot be had is told so within that.
func (w *world) pass(d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end); {
		if err := w.round(); err != nil {
			return err
		}
		time.Sleep(time.Second)
		synctest.Wait()
	}
	return nil
}

// until lets time pass until all is as wanted.
func (w *world) until(within time.Duration, what string, is func() bool) error {
	for end := time.Now().Add(within); !is(); {
		if time.Now().After(end) {
			return fmt.Errorf("not %s within %s", what, within)
		}
		if err := w.pass(time.Second); err != nil {
			return err
		}
	}
	return nil
}

// claimOf is the claim of a container; false if there is none.
func (w *world) claimOf(c *container) (nic.Claim, bool) {
	records, err := allocator.ReadRecords(context.Background(), w.truth)
	if err != nil {
		return nic.Claim{}, false
	}
	for _, claim := range records.Claims {
		if claim.Owner == c.owner {
			return claim, true
		}
	}
	return nic.Claim{}, false
}

// inBubble runs do in virtual time and fails the test with its error.
func inBubble(t *testing.T, do func(t *testing.T) error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if err := do(t); err != nil {
			t.Error(err)
		}
	})
}
