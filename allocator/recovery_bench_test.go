package allocator_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/boltstore"
	"github.com/nicferry/nicferry/nic"
)

// BenchmarkRecovery measures how soon a controller that is started over 100,000 claims
// does its work: when its store is open, all of it read and verified, when the first new
// claim is ready, and when it has looked at all that there is.
//
//	go test ./allocator -run '^$' -bench Recovery -benchtime 1x
func BenchmarkRecovery(b *testing.B) {
	path := filepath.Join(b.TempDir(), "store.db")
	manyClaims(b, path, 100_000, 100_000/perNode)
	runtime.GC() // of what filled it
	for b.Loop() {
		begin, used := time.Now(), processorTime(b)
		r := openClaimRig(b, path, boltstore.Options{})
		b.ReportMetric(r.opened.Seconds(), "open-s")
		if _, err := r.alloc.Hello(b.Context(), "new", nic.Inventory{Boot: "b"}); err != nil {
			b.Fatal(err)
		}
		claim, err := r.claim("new", rand.Int64())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(begin).Seconds(), "answered-s")
		r.untilReady(b, claim)
		b.ReportMetric(time.Since(begin).Seconds(), "ready-s")
		r.untilLooked(b)
		b.ReportMetric(time.Since(begin).Seconds(), "looked-s")
		b.ReportMetric((processorTime(b) - used).Seconds(), "cpu-s")
		r.stop()
	}
}

// untilLooked waits until the controller has looked at all that there was before.
func (r *claimRig) untilLooked(b testing.TB) {
	b.Helper()
	end := time.Now().Add(time.Hour)
	for err := r.alloc.Ready(b.Context()); err != nil; err = r.alloc.Ready(b.Context()) {
		if time.Now().After(end) {
			b.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// perNode is how many claims each node has of many.
const perNode = 50

// inCommit is how many records of many one commit writes.
const inCommit = 20_000

// manyClaims makes a store with so many claims on so many nodes: each is the first in
// all but its names. The records are written in the order of their keys.
func manyClaims(b testing.TB, path string, claims, nodes int) {
	b.Helper()
	first, records := firstClaim(b, path)
	s, err := boltstore.Open(b.Context(), path, boltstore.Options{NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	names := make([]*strings.Replacer, claims)
	addr := first.Identity.Addrs[0].Addr()
	for i := 1; i < claims; i++ {
		addr = addr.Next()
		names[i] = strings.NewReplacer(
			string(first.ID), string(nic.NewClaimID()), string(first.NIC), string(nic.NewID()), first.Owner.Sandbox, fmt.Sprintf("%064x", i),
			first.Identity.MAC.String(), fmt.Sprintf("e2:4e:%02x:%02x:%02x:%02x", byte(i>>24), byte(i>>16), byte(i>>8), byte(i)), first.Identity.Addrs[0].Addr().String(), addr.String(),
			"node-0", fmt.Sprint("node-", i%nodes), first.Container, fmt.Sprint("name-", i),
		)
	}
	for _, r := range records {
		var ops []store.Op
		for i := 1; i < claims; i++ {
			key := names[i].Replace(r.Key)
			if key == r.Key || strings.HasPrefix(key, "node/") && i >= nodes {
				continue
			}
			ops = append(ops, store.Create(key, []byte(names[i].Replace(string(r.Value)))))
		}
		slices.SortFunc(ops, func(x, y store.Op) int { return strings.Compare(x.Key, y.Key) })
		for part := range slices.Chunk(ops, inCommit) {
			if _, err := s.Commit(b.Context(), part...); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// firstClaim makes a store with one claim that is ready, and returns all that is in it.
func firstClaim(b testing.TB, path string) (nic.Claim, []store.Record) {
	b.Helper()
	r := openClaimRig(b, path, boltstore.Options{NoSync: true})
	node, err := r.alloc.Hello(b.Context(), "node-0", nic.Inventory{Boot: "b"})
	if err != nil {
		b.Fatal(err)
	}
	first, err := r.claim("node-0", 0)
	if err != nil {
		b.Fatal(err)
	}
	r.untilReady(b, first)
	view, err := r.alloc.Claim(b.Context(), first.ID)
	if err != nil {
		b.Fatal(err)
	}
	first = view.Claim
	err = r.alloc.Report(b.Context(), "node-0", nic.NodeReport{Session: node.Session, NICs: []nic.Observed{{
		NIC: first.NIC, Claim: first.ID, Epoch: first.Epoch, State: nic.ObservedIn, Running: true, Addrs: first.Identity.Addrs,
	}}})
	if err != nil {
		b.Fatal(err)
	}
	records, _, err := r.records.List(b.Context(), "", "", 0)
	if err != nil {
		b.Fatal(err)
	}
	r.stop()
	return first, records
}
