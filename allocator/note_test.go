package allocator_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
	"github.com/nicferry/nicferry/provider/local"
)

// byCalls is a provider that is plugged in by calls alone.
type byCalls struct {
	provider.Provider
	provider.Placer
}

// startMade starts an allocator whose nodes make the NICs of network made, so many each.
func (r *rig) startMade(perNode int, calls bool, opts allocator.Options) {
	r.t.Helper()
	p, err := local.New(local.Options{
		Name: "local", NICsPerNode: perNode, Ledger: allocator.NewLedger(r.store, "local"), Nodes: allocator.NewNodes(r.store, "local"),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	var made provider.Provider = p
	if calls {
		made = byCalls{p, p}
	}
	opts.Store, opts.Networks = r.store, networks()
	web := opts.Networks[0]
	web.Name, web.Provider, web.Device = "made", "local", nic.Device{Kind: nic.Veth, Bridge: nic.Bridge{Name: "br0"}}
	opts.Networks = append(opts.Networks, web)
	opts.Providers = map[string]provider.Provider{"fake": r.cloud, "local": made}
	r.startWith(opts)
	synctest.Wait()
}

// knowing has the provider look at all NICs that there are, as it does at the first that is
// plugged in by a call.
func (r *rig) knowing() {
	r.t.Helper()
	first := r.acquire("ffff", "made")
	r.wants(first.ID, nic.ClaimReady, time.Minute)
	if err := r.alloc.Release(r.t.Context(), first.ID, first.Epoch); err != nil {
		r.t.Fatal(err)
	}
	r.wait(time.Second)
	r.report(r.claim(first.ID), nic.ObservedClean, false)
	r.wait(time.Minute)
	r.emptyStore()
}

func madeBubble(t *testing.T, perNode int, opts allocator.Options, test func(*testing.T, *rig)) {
	t.Parallel()
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.stop()
		r.startMade(perNode, false, opts)
		r.knowing()
		test(t, r)
	})
}

var changing = regexp.MustCompile(`(nic|clm)-[0-9a-f]{16}|\d{4}-\d\d-\d\dT[0-9:.]+Z|([0-9a-f]{2}:){5}[0-9a-f]{2}|"boot":"[^"]*"`)

// dump is all that the store has but what differs from run to run.
func (r *rig) dump() string {
	r.t.Helper()
	records, _, err := r.store.List(r.t.Context(), "", "", 0)
	if err != nil {
		r.t.Fatal(err)
	}
	var lines []string
	for _, rec := range records {
		if !strings.HasPrefix(rec.Key, "leader/") {
			lines = append(lines, changing.ReplaceAllString(rec.Key+" = "+string(rec.Value), "…"))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// A claim whose NIC the node makes is ready by its first commit, reads nothing for it, and
// leaves the same records as one whose NIC is plugged in by calls, with nothing to do.
func TestAMadeNICIsReadyByOneCommit(t *testing.T) {
	madeBubble(t, 8, allocator.Options{}, func(t *testing.T, r *rig) {
		r.stop()
		var commits atomic.Int64
		counting := &countingStore{Store: commitCounter{r.store, &commits}}
		r.store = counting
		r.startMade(8, false, allocator.Options{})
		r.knowing()
		before := commits.Load()
		claim := r.acquire("0001", "made")
		if claim.Phase != nic.ClaimReady || claim.NIC == "" {
			t.Errorf("the claim is %s with NIC %q when it is answered", claim.Phase, claim.NIC)
		}
		r.wait(time.Minute)
		if got := commits.Load() - before; got != 1 {
			t.Errorf("%d commits, want 1", got)
		}
		r.faultless(false)
		byNote := r.dump()

		r.stop()
		r.startMade(8, false, allocator.Options{}) // as after a crash
		r.wait(time.Minute)
		if got := commits.Load() - before; got > 3 { // the old term's end and the new one's begin
			t.Errorf("%d commits after a restart", got)
		}
		if now := r.dump(); now != byNote {
			t.Errorf("a restart has changed the records:\n%s\nto\n%s", byNote, now)
		}
		r.gone(claim)

		r.stop()
		r.startMade(8, true, allocator.Options{})
		r.wants(r.acquire("0001", "made").ID, nic.ClaimReady, time.Minute)
		r.wait(time.Minute)
		if byCalls := r.dump(); byCalls != byNote {
			t.Errorf("by calls there is\n%s\nby a note\n%s", byCalls, byNote)
		}
	})
}

// gone releases a claim, and wants nothing to be left.
func (r *rig) gone(claim nic.Claim) {
	r.t.Helper()
	if err := r.alloc.Release(r.t.Context(), claim.ID, claim.Epoch); err != nil {
		r.t.Fatal(err)
	}
	r.wait(time.Second)
	r.report(r.claim(claim.ID), nic.ObservedClean, false)
	r.wait(time.Minute)
	r.emptyStore()
}

// A commit that fails leaves nothing: no record, no slot that is taken.
func TestANoteThatIsNotWrittenTakesNothing(t *testing.T) {
	madeBubble(t, 1, allocator.Options{}, func(t *testing.T, r *rig) {
		r.stop()
		broken := &failingStore{Store: r.store}
		r.store = broken
		r.startMade(1, false, allocator.Options{})
		r.knowing()
		broken.fails.Store(true)
		for range 3 {
			if _, err := r.alloc.Acquire(t.Context(), owner("0001"), "0001", nic.Request{Interface: "eth0", Network: "made"}); err == nil {
				t.Error("a claim was given that is not stored")
			}
		}
		broken.fails.Store(false)
		r.emptyStore()
		if claim := r.acquire("0001", "made"); claim.Phase != nic.ClaimReady {
			t.Errorf("the claim is %s: a slot was taken for nothing", claim.Phase)
		}
		second := r.acquire("0002", "made")
		r.wants(second.ID, nic.ClaimRefused, time.Minute)
		if got := r.reasons(second.ID); !strings.Contains(got, string(nic.ReasonExhausted)) {
			t.Errorf("on a full node: %s", got)
		}
		r.faultless(false)
	})
}

type failingStore struct {
	store.Store
	fails atomic.Bool
}

func (s *failingStore) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	if s.fails.Load() {
		return 0, errors.New("disk full")
	}
	return s.Store.Commit(ctx, ops...)
}

// What bounds other claims bounds these: addresses, quotas, and what is asked for.
func TestNotedNICsAreRefusedAsOthersAre(t *testing.T) {
	tenants := []nic.Tenant{{Name: nic.DefaultTenant, Quota: nic.Quota{NICs: 2}}}
	madeBubble(t, 8, allocator.Options{Tenants: tenants}, func(t *testing.T, r *rig) {
		for _, name := range []string{"0001", "0002"} {
			if claim := r.acquire(name, "made"); claim.Phase != nic.ClaimReady {
				t.Errorf("claim %s is %s", name, claim.Phase)
			}
		}
		if claim := r.acquire("0003", "made"); claim.Phase != nic.ClaimRefused || claim.Conditions[0].Reason != nic.ReasonQuotaExceeded {
			t.Errorf("beyond the quota: %s, %v", claim.Phase, claim.Conditions)
		}
		r.stop()
		r.startMade(8, false, allocator.Options{})
		r.wait(time.Minute)
		r.wants(r.acquire("0003", "made").ID, nic.ClaimReady, time.Minute)
		for name, reason := range map[string]nic.Reason{"0004": nic.ReasonExhausted, "0005": nic.ReasonAddressTaken} {
			addrs := []string{}
			if reason == nic.ReasonAddressTaken {
				addrs = append(addrs, "10.0.0.10")
			}
			if claim := r.acquire(name, "made", addrs...); claim.Phase != nic.ClaimRefused || claim.Conditions[0].Reason != reason {
				t.Errorf("want %s: %s, %v", reason, claim.Phase, claim.Conditions)
			}
		}
		r.faultless(false)
	})
}

// Many who ask at once, some for the same, get each one NIC, and no more than the node has
// room for.
func TestManyNotesAtOnce(t *testing.T) {
	madeBubble(t, 3, allocator.Options{}, func(t *testing.T, r *rig) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		ids := map[string]nic.ClaimID{}
		for i := range 24 {
			wg.Go(func() {
				name := fmt.Sprintf("%04d", i%6)
				claim, err := r.alloc.Acquire(t.Context(), owner(name), name, nic.Request{Interface: "eth0", Network: "made"})
				mu.Lock()
				defer mu.Unlock()
				if was, ok := ids[name]; err != nil || ok && was != claim.ID {
					t.Errorf("container %s has claim %s, and got %s: %v", name, was, claim.ID, err)
				}
				ids[name] = claim.ID
			})
		}
		wg.Wait()
		r.wait(time.Minute)
		ready := 0
		for _, id := range ids {
			if r.claim(id).Phase == nic.ClaimReady {
				ready++
			}
		}
		if ready != 3 || len(ids) != 6 {
			t.Errorf("%d of %d claims are ready, with room for 3", ready, len(ids))
		}
		r.faultless(false)
	})
}

// A controller that follows another plans, and leaves the plugging in to that.
func TestWhoFollowsNotesNothing(t *testing.T) {
	madeBubble(t, 8, allocator.Options{}, func(t *testing.T, r *rig) {
		first := r.alloc
		stop := r.stop
		r.startMade(8, false, allocator.Options{})
		if claim := r.acquire("0001", "made"); claim.Phase != nic.ClaimPending {
			t.Errorf("one that follows answers %s", claim.Phase)
		}
		r.stop()
		r.alloc, r.stop = first, stop
		r.wants(r.claims()[0].ID, nic.ClaimReady, time.Minute)
		r.faultless(false)
	})
}
