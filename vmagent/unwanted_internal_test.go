package vmagent

import (
	"testing"

	"github.com/nicferry/nicferry/nic"
)

// What was noted for a NIC may be taken over only once the controller has said that
// nothing is wanted of it: a file of before is no word of it.
func TestOnlyTheControllerSaysThatANICIsUnwanted(t *testing.T) {
	t.Parallel()
	w, other := nic.Wanted{NIC: nic.NewID()}, nic.NewID()
	a := &Agent{wishes: newWishes()}
	a.wishes.replace([]nic.Wanted{w})
	if a.Unwanted(w.NIC) || a.Unwanted(other) {
		t.Error("before the controller has said anything, one is unwanted")
	}
	a.wishes.said()
	if a.Unwanted(w.NIC) || !a.Unwanted(other) {
		t.Errorf("wanted: %t; not wanted: %t", a.Unwanted(w.NIC), a.Unwanted(other))
	}
}
