package vmagent

import "testing"

// S9: whatever a server says, a NIC's MTU stays within what the recipe gives
// and what the IP versions on it need.
func TestS9_MTUIsClamped(t *testing.T) {
	for _, c := range []struct {
		name         string
		said, recipe int
		ipv6         bool
		want         int
	}{
		{"nothing said", 0, 1500, false, 1500},
		{"lower", 1400, 1500, false, 1400},
		{"as the recipe", 1500, 1500, true, 1500},
		{"above the recipe", 9000, 1500, false, 1500},
		{"above a jumbo recipe", 9216, 9000, false, 9000},
		{"absurdly low", 68, 1500, false, 576},
		{"too low for IPv6", 576, 1500, true, 1280},
		{"the recipe is lower than IPv6 needs", 576, 1000, true, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := clampMTU(c.said, c.recipe, c.ipv6); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}
