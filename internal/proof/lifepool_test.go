package proof

import (
	"time"

	"github.com/nicferry/nicferry/nic"
)

// poolSlots is how many NICs the node of a life with a pool holds.
const poolSlots = 2

// fromPool is the life of a reserve, one thing at a time: a NIC is made ahead,
// goes to a container, is followed by the next, which makes room for a
// container of another network; what the first has had is kept, cools down,
// and is given back once it is idle.
func (l *life) fromPool() error {
	l.job.Pool = nic.Pool{Min: 1, Max: 2, Idle: nic.Duration(time.Hour)}
	if err := l.step("made ahead", func(s Sight) bool { return s.Spares == 1 }); err != nil {
		return err
	}
	web := l.agent.run(1, nic.Request{Network: "life"})
	if err := l.step("served out of the reserve, and that filled again", func(s Sight) bool { return s.bound() == 1 && s.Spares == 1 }); err != nil {
		return err
	}
	other := l.agent.run(2, nic.Request{Network: "other"})
	if err := l.step("given the slot of the reserve", func(s Sight) bool { return s.bound() == 2 && len(s.NICs) == 2 }); err != nil {
		return err
	}
	web.running, web.gone = false, true
	if err := l.step("kept for the next", func(s Sight) bool { return len(s.Claims) == 1 && s.Spares == 1 }); err != nil {
		return err
	}
	other.running, other.gone = false, true
	if err := l.step("gone but for the reserve", func(s Sight) bool { return len(s.Claims) == 0 && len(s.NICs) == 1 }); err != nil {
		return err
	}
	l.end()
	l.job.Pool = nic.Pool{Max: 2, Idle: nic.Duration(time.Millisecond)}
	return l.step("given back when idle", func(s Sight) bool { return len(s.NICs) == 0 })
}
