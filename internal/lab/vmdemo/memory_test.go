//go:build linux

package vmdemo

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What the kernel keeps of NICs is told apart from the caches that the first
// ones fill.
func TestKeptMemory(t *testing.T) {
	states := func(kib ...int) (all []state) {
		for _, k := range kib {
			all = append(all, state{KernelKiB: k})
		}
		return all
	}
	for name, c := range map[string]struct {
		full, gone   []state
		takes, keeps float64
	}{
		"all comes back":     {states(12292, 12328, 12332, 12336, 12356), states(12252, 12256, 12260, 12264, 12268), 76, 4},
		"half of it is lost": {states(1100, 1150, 1200), states(1000, 1050, 1100), 100, 50},
	} {
		if takes, keeps := kept(c.full, c.gone); takes != c.takes || keeps != c.keeps {
			t.Errorf("%s: got %v and %v, want %v and %v", name, takes, keeps, c.takes, c.keeps)
		}
	}
}
