package proof

import (
	"slices"

	"github.com/nicferry/nicferry/nic"
)

// onSeats is the life of containers that share NICs which have two seats each: one
// comes with its NIC, one onto that, and one with the next. They leave the one and
// the other, the last one because it has stopped for long; it gets a third NIC.
func (l *life) onSeats() error {
	carrying := func(s Sight, want int) bool {
		return want == len(slices.DeleteFunc(slices.Clone(s.NICs), func(n nic.NIC) bool { return !n.Carries }))
	}
	var all []*container
	for i, carriers := range []int{1, 1, 2} {
		all = append(all, l.agent.run(1+i, nic.Request{Network: "life"}))
		if err := l.step("bound on seats", func(s Sight) bool { return s.bound() == i+1 && carrying(s, carriers) }); err != nil {
			return err
		}
	}
	for _, of := range []int{0, 2} {
		all[of].running, all[of].gone = false, true
	}
	if err := l.step("gone but for one", func(s Sight) bool { return len(s.Claims) == 1 && carrying(s, 1) }); err != nil {
		return err
	}
	all[1].running = false
	if err := l.step("given back after the hold", func(s Sight) bool { return len(s.Claims) == 1 && len(s.NICs) == 0 }); err != nil {
		return err
	}
	all[1].running = true
	if err := l.step("bound again", func(s Sight) bool { return s.bound() == 1 }); err != nil {
		return err
	}
	all[1].running, all[1].gone = false, true
	return l.step("gone", func(s Sight) bool { return len(s.Claims) == 0 && len(s.NICs) == 0 })
}
