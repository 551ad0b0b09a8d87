package proof

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// A move is one step of a random life: something that a user, a clock or an
// accident does. Its numbers are taken modulo what there is.
type move struct {
	Do    string
	N     int
	Net   string
	Fixed bool
}

func (m move) String() string { return fmt.Sprintf("%s %d %s %t", m.Do, m.N, m.Net, m.Fixed) }

var moves = rapid.Custom(func(t *rapid.T) move {
	return move{
		Do:    rapid.SampledFrom([]string{"run", "run", "stop", "start", "remove", "pass", "pass", "linger", "crash", "reboot", "fail", "lose", "stick", "unstick"}).Draw(t, "do"),
		N:     rapid.IntRange(0, 20).Draw(t, "n"),
		Net:   rapid.SampledFrom([]string{"few", "few", "many", "wire"}).Draw(t, "net"),
		Fixed: rapid.Bool().Draw(t, "fixed"),
	}
})

// A model is what a user may count on: a container has the claim and the
// identity that it first got, until it is removed.
type model struct {
	*world
	all    []*container // that are not removed
	had    map[*container]nic.Claim
	serial int
	stuck  []nic.ID
}

// play makes the moves, with a look at everything after each, and then demands
// that all comes to rest as it should.
func (m *model) play(all []move) error {
	for i, mv := range all {
		if err := errors.Join(m.move(mv), m.check(), m.kept()); err != nil {
			return fmt.Errorf("after move %d, %s: %w", i, mv, err)
		}
	}
	return m.rest()
}

func (m *model) pick(n int) *container {
	if len(m.all) == 0 {
		return nil
	}
	return m.all[n%len(m.all)]
}

func (m *model) move(mv move) error {
	c := m.pick(mv.N)
	switch ops := []string{fake.OpLimits, fake.OpCreate, fake.OpAttach, fake.OpDetach, fake.OpDelete, fake.OpGet}; mv.Do {
	case "run":
		m.serial++
		req := nic.Request{Network: mv.Net}
		if mv.Fixed && mv.Net != "wire" {
			req.Addrs = []netip.Addr{netip.MustParseAddr(fmt.Sprintf("10.0.1.%d", 1+mv.N%3))}
		}
		m.all = append(m.all, m.agents[mv.N%len(m.agents)].run(m.serial, req))
	case "pass":
		return m.pass(time.Duration(1+mv.N) * time.Second)
	case "linger":
		return m.pass(2 * hold)
	case "crash":
		return m.crash()
	case "reboot": // of an agent: it says hello again
		m.agents[mv.N%len(m.agents)].session = 0
	case "fail":
		m.cloud.Fail(ops[mv.N%len(ops)], kinds[1+mv.N%(len(kinds)-1)]) // but for lies
	case "lose":
		m.cloud.Lose(ops[mv.N%len(ops)])
	case "unstick":
		m.unstick()
	}
	if c == nil {
		return nil
	}
	switch mv.Do {
	case "stop":
		c.running = false
	case "start":
		c.running = true
	case "remove":
		c.running, c.gone = false, true
		m.all = without(m.all, c)
	case "stick":
		m.cloud.Stick(m.had[c].NIC)
		m.stuck = append(m.stuck, m.had[c].NIC)
	}
	return m.round()
}

func (m *model) unstick() {
	for _, id := range m.stuck {
		m.cloud.Unstick(id)
	}
	m.stuck = nil
}

func without(all []*container, c *container) []*container {
	var rest []*container
	for _, other := range all {
		if other != c {
			rest = append(rest, other)
		}
	}
	return rest
}

// kept demands that each container has the claim and identity that it had.
func (m *model) kept() error {
	var errs []error
	for _, c := range m.all {
		claim, there := m.claimOf(c)
		had, hadOne := m.had[c]
		switch {
		case !there && hadOne:
			errs = append(errs, fmt.Errorf("%s has lost its claim %s", c.owner, had.ID))
		case there && hadOne && claim.ID != had.ID:
			errs = append(errs, fmt.Errorf("%s has claim %s instead of %s", c.owner, claim.ID, had.ID))
		case there && hadOne && identity(had) != "" && identity(claim) != identity(had):
			errs = append(errs, fmt.Errorf("%s had %s and has %s", c.owner, identity(had), identity(claim)))
		}
		if there {
			m.had[c] = claim
		}
	}
	return errors.Join(errs...)
}

func identity(c nic.Claim) string {
	if c.Identity.MAC.IsZero() && len(c.Identity.Addrs) == 0 {
		return ""
	}
	return fmt.Sprint(c.Identity.MAC, c.Identity.Addrs, c.Identity.Space)
}

// rest lets all troubles end, and demands what follows: each running container
// is served, or is refused for a reason that is true; and once all are removed,
// nothing is left.
func (m *model) rest() error {
	m.cloud.Forgive()
	m.unstick()
	if err := m.pass(5 * time.Minute); err != nil {
		return err
	}
	late := m.until(2*time.Hour, "at rest", func() bool { return m.unserved() == nil })
	if err := errors.Join(late, m.unserved(), m.check(), m.kept()); err != nil {
		return err
	}
	for _, c := range m.all {
		c.running, c.gone = false, true
	}
	m.all = nil
	return errors.Join(m.pass(10*time.Minute), m.check(), m.empty())
}

// unserved names running containers that could be served and are not.
func (m *model) unserved() error {
	var errs []error
	held := map[string]bool{}
	for _, c := range m.all {
		claim, _ := m.claimOf(c)
		for _, p := range claim.Identity.Addrs {
			held[p.Addr().String()] = true
		}
	}
	few := held["10.0.1.1"] && held["10.0.1.2"] && held["10.0.1.3"]
	for _, c := range m.all {
		claim, there := m.claimOf(c)
		if !c.running || there && claim.Phase == nic.ClaimBound {
			continue
		}
		why := ""
		if len(claim.Conditions) > 0 {
			why = string(claim.Conditions[0].Reason) + ": " + claim.Conditions[0].Message
		}
		taken := len(c.req.Addrs) > 0 && held[c.req.Addrs[0].String()] && strings.HasPrefix(why, string(nic.ReasonAddressTaken))
		used := c.req.Network == "few" && few && strings.HasPrefix(why, string(nic.ReasonExhausted))
		full := strings.Contains(why, "slots free") && len(m.all) > 8
		foreign := strings.HasPrefix(why, string(nic.ReasonAddressNotAllowed)) && c.req.Network == "many"
		if claim.Phase != nic.ClaimRefused || !taken && !used && !full && !foreign {
			errs = append(errs, fmt.Errorf("%s runs and is %s: %s", c.owner, claim.Phase, why))
		}
	}
	return errors.Join(errs...)
}

// run makes a fresh world for the moves.
func play(t *testing.T, all []move, around func(store.Store) store.Store) (err error) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{world: newWorld(t, slowly(), around, "vm1", "vm2"), had: map[*container]nic.Claim{}}
		defer m.close()
		err = m.play(all)
	})
	return err
}

// P1, P2, P6 and P9 hold whatever users and accidents do, in any order, and a
// container keeps what it once got. rapid writes the moves that break this to
// testdata, and shrinks them.
func TestAnyLifeHolds(t *testing.T) {
	lives, made := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		all := rapid.SliceOfN(moves, 20, 60).Draw(rt, "moves")
		lives, made = lives+1, made+len(all)
		if err := play(t, all, nil); err != nil {
			rt.Fatal(err)
		}
	})
	counts(t, "model: %d lives of %d moves", lives, made)
}
