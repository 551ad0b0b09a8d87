package allocator_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
)

// A heap is how many records there are of a kind, and how large they are together.
type heap struct{ records, bytes int }

func heaps(records []store.Record) map[string]heap {
	all := map[string]heap{}
	for _, r := range records {
		if strings.HasPrefix(r.Key, store.LeaderPrefix) { // it is there while one leads
			continue
		}
		kind, _, _ := strings.Cut(r.Key, "/")
		h := all[kind]
		all[kind] = heap{h.records + 1, h.bytes + len(r.Key) + len(r.Value)}
	}
	return all
}

// claimed are the records of claims that were asked for one by one, of containers that run.
func claimed(t *testing.T, claims, nodes int) []store.Record {
	t.Helper()
	r := openClaimRig(t, filepath.Join(t.TempDir(), "store.db"), boltstore.Options{NoSync: true})
	defer r.stop()
	for n := range nodes {
		name := fmt.Sprint("node-", n)
		node, err := r.alloc.Hello(t.Context(), name, nic.Inventory{Boot: "b"})
		if err != nil {
			t.Fatal(err)
		}
		var said []nic.Observed
		for i := n; i < claims; i += nodes {
			claim, err := r.claim(name, int64(i))
			if err != nil {
				t.Fatal(err)
			}
			r.untilReady(t, claim)
			view, err := r.alloc.Claim(t.Context(), claim.ID)
			if err != nil {
				t.Fatal(err)
			}
			claim = view.Claim
			said = append(said, nic.Observed{
				NIC: claim.NIC, Claim: claim.ID, Epoch: claim.Epoch, State: nic.ObservedIn, Running: true, Addrs: claim.Identity.Addrs,
			})
		}
		if err := r.alloc.Report(t.Context(), name, nic.NodeReport{Session: node.Session, NICs: said}); err != nil {
			t.Fatal(err)
		}
	}
	records, _, err := r.records.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// The stores that benchmarks fill are like those that claims fill: as many records of
// each kind, nearly as large, in which an audit finds nothing, and to which more can be
// added.
func TestAFilledStoreIsLikeAClaimedOne(t *testing.T) {
	const claims, nodes = 60, 3
	path := filepath.Join(t.TempDir(), "store.db")
	manyClaims(t, path, claims, nodes)
	file, err := boltstore.Open(t.Context(), path, boltstore.Options{}) // which verifies it
	if err != nil {
		t.Fatal(err)
	}
	filled, _, err := file.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	got, want := heaps(filled), heaps(claimed(t, claims, nodes))
	for _, kind := range slices.Sorted(maps.Keys(want)) {
		if g, w := got[kind], want[kind]; g.records != w.records || max(g.bytes, w.bytes)*100 > min(g.bytes, w.bytes)*105 {
			t.Errorf("%s: %+v, and by claims %+v", kind, g, w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("kinds %v, and by claims %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	synctest.Test(t, func(t *testing.T) { soundRecords(t, filled, claims) })
}

// soundRecords has a controller begin with the records, look for faults, and add a claim.
func soundRecords(t *testing.T, records []store.Record, claims int) {
	s := memstore.New(memstore.Options{})
	for _, rec := range records {
		if strings.HasPrefix(rec.Key, store.LeaderPrefix) {
			continue
		}
		if _, err := s.Commit(t.Context(), store.Create(rec.Key, rec.Value)); err != nil {
			t.Fatal(err)
		}
	}
	r := newClaimRig(t, s, nil)
	defer r.stop()
	r.untilLooked(t)
	if claim, err := r.claim("node-1", int64(claims)); err != nil || claim.Phase != nic.ClaimReady {
		t.Errorf("one more claim is %s: %v", claim.Phase, err)
	}
	audit, err := r.alloc.Audit(t.Context(), false)
	if err != nil || audit.Counted != claims+1 {
		t.Errorf("the audit has counted %d NICs: %v", audit.Counted, err)
	}
	for _, f := range audit.Findings {
		if f.Kind != api.FindingNodeSilent {
			t.Errorf("the audit finds %+v", f)
		}
	}
}
