package allocator_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/allocator/ipam"
	"github.com/nicferry/nicferry/provider/fake"
)

// F70: every VLAN id has one owner, also after a restart; when they are used up
// it is said who has them; one that is given back rests.
func TestF70_VLANsAreGivenOnceAndRest(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		given := map[ipam.Number]bool{}
		for i := range 4094 {
			if i == 2000 {
				r.crash()
			}
			n, err := r.alloc.TakeNumber(t.Context(), ipam.VLAN, "lan", fmt.Sprintf("net%d", i))
			if err != nil || given[n] || n < 1 || n > 4094 {
				t.Fatalf("number %d: got %d, %v", i, n, err)
			}
			given[n] = true
		}
		if n, err := r.alloc.TakeNumber(t.Context(), ipam.VLAN, "lan", "net6"); err != nil || n != 7 {
			t.Errorf("asked again: got %d, %v; want its own, 7", n, err)
		}
		if n, err := r.alloc.TakeNumber(t.Context(), ipam.VLAN, "other", "net6"); err != nil || n != 1 {
			t.Errorf("on another wire: got %d, %v; want 1", n, err)
		}
		take := func() (ipam.Number, error) { return r.alloc.TakeNumber(t.Context(), ipam.VLAN, "lan", "late") }
		_, err := take()
		if !errors.Is(err, allocator.ErrExhausted) || !strings.Contains(err.Error(), "1-4094 of lan is taken: 4094 of 4094 held; held by net0, net1, net2 and 4091 more") {
			t.Errorf("got %v, want it said aloud", err)
		}
		for range 2 { // the second time there is nothing to return
			if err := r.alloc.ReturnNumber(t.Context(), ipam.VLAN, "lan", "net6"); err != nil {
				t.Fatal(err)
			}
		}
		r.wait(30 * time.Second)
		r.crash()
		if n, err := take(); !errors.Is(err, allocator.ErrExhausted) || !strings.Contains(err.Error(), "1 cooling down") {
			t.Errorf("within the quarantine: got %d, %v", n, err)
		}
		r.wait(31 * time.Second)
		if n, err := take(); err != nil || n != 7 {
			t.Errorf("after it: got %d, %v; want 7", n, err)
		}
	})
}

func TestNumbersOfNoKind(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		for _, c := range [][3]string{{"nope", "lan", "a"}, {"vlan", "l/n", "a"}, {"vlan", "lan", ""}} {
			_, err := r.alloc.TakeNumber(t.Context(), ipam.NumberKind(c[0]), c[1], c[2])
			back := r.alloc.ReturnNumber(t.Context(), ipam.NumberKind(c[0]), c[1], c[2])
			if !errors.Is(err, allocator.ErrInvalid) || !errors.Is(back, allocator.ErrInvalid) {
				t.Errorf("%v: got %v and %v, want ErrInvalid", c, err, back)
			}
		}
	})
}
