package allocator

import (
	"testing"
	"time"
	"unique"

	"github.com/nicferry/nicferry/nic"
)

// BenchmarkTally counts 1,000 claims and their NICs, as a scrape does.
func BenchmarkTally(b *testing.B) {
	t := newTallies(newClock(time.Now), blind{})
	for range 1000 {
		t.claims.put(nic.NewClaimID(), claimMark{phase: nic.ClaimBound, network: "lab", tenant: "default"})
		t.nics[nic.NewID()] = nicMark{kind: unique.Make(nicKind{nic.PhaseHeld, "lab"}), steps: 9, begun: time.Now().UnixNano()}
	}
	for b.Loop() {
		if claims, nics, _ := t.count(); len(claims) != 1 || len(nics) != 1 {
			b.Fatal(claims, nics)
		}
	}
}
