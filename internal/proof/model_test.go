package proof

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/nicferry/nicferry/allocator"
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
		Net:   rapid.SampledFrom([]string{"few", "few", "many", "wire", "warm", "warm", "tepid"}).Draw(t, "net"),
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
	warm   int // containers that were served at once
}

// modelPools are reserves of both kinds: made ahead and cooling down, and only
// kept of what comes back.
func modelPools() map[string]reserve {
	return map[string]reserve{
		"warm":  {nic.Pool{Min: 1, Max: 3, Idle: nic.Duration(40 * time.Second)}, 15 * time.Second},
		"tepid": {nic.Pool{Max: 2, Idle: nic.Duration(90 * time.Second)}, 0},
	}
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
		if mv.Fixed && mv.Net != "wire" && mv.Net != "tepid" {
			req.Addrs = []netip.Addr{netip.MustParseAddr(fmt.Sprintf("10.0.1.%d", 1+mv.N%3))}
		}
		m.all = append(m.all, m.agents[mv.N%len(m.agents)].run(m.serial, req))
		err := m.round()
		if claim, _ := m.claimOf(m.all[len(m.all)-1]); claim.Phase == nic.ClaimReady || claim.Phase == nic.ClaimBound {
			m.warm++ // no time has passed
		}
		return err
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
// is served, or is refused for a reason that is true; once all are removed, the
// nodes have what the pools say and no more; and without pools nothing.
func (m *model) rest() error {
	m.cloud.Forgive()
	m.unstick()
	late := m.until(2*time.Hour, "at rest", func() bool { return m.unserved() == nil })
	if err := errors.Join(late, m.pass(2*time.Minute), m.unserved(), m.check(), m.kept()); err != nil {
		return err
	}
	for _, c := range m.all {
		c.running, c.gone = false, true
	}
	m.all = nil
	late = m.until(2*time.Hour, "left with what the pools say", func() bool { return m.inReserve() == nil })
	if err := errors.Join(late, m.pass(2*time.Minute), m.inReserve(), m.check()); err != nil {
		return err
	}
	m.pools = nil
	late = errors.Join(m.crash(), m.until(2*time.Hour, "left with nothing", func() bool { return m.empty() == nil }))
	return errors.Join(late, m.check(), m.empty())
}

// inReserve names the nodes that have more than their pools' least, or less.
func (m *model) inReserve() error {
	records, err := allocator.ReadRecords(context.Background(), m.truth)
	errs := []error{err}
	for _, a := range m.agents {
		spares := map[string]int{}
		for _, n := range records.NICs {
			if n.Node != a.node {
				continue
			}
			if n.Phase != nic.PhaseSpare {
				errs = append(errs, fmt.Errorf("NIC %s of node %s is %s and nobody's", n.ID, a.node, n.Phase))
			}
			spares[n.Network]++
		}
		for name, of := range m.pools {
			if spares[name] != of.Min {
				errs = append(errs, fmt.Errorf("node %s has %d spare NICs of network %s, want %d", a.node, spares[name], name, of.Min))
			}
		}
	}
	return errors.Join(errs...)
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
		foreign := strings.HasPrefix(why, string(nic.ReasonAddressNotAllowed)) && c.req.Network != "few"
		if claim.Phase != nic.ClaimRefused || !taken && !used && !full && !foreign {
			errs = append(errs, fmt.Errorf("%s runs and is %s: %s", c.owner, claim.Phase, why))
		}
	}
	return errors.Join(errs...)
}

// run makes a fresh world for the moves.
func play(t *testing.T, all []move, around func(store.Store) store.Store) (warm int, err error) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{world: newWorld(t, slowly(), around, "vm1", "vm2"), had: map[*container]nic.Claim{}}
		defer m.close()
		m.pools = modelPools()
		err = errors.Join(m.crash(), m.pass(10*time.Second), m.play(all))
		warm = m.warm
	})
	return warm, err
}

// P1, P2, P6 and P9 hold whatever users and accidents do, in any order, and a
// container keeps what it once got. rapid writes the moves that break this to
// testdata, and shrinks them.
func TestAnyLifeHolds(t *testing.T) {
	lives, made, warm := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		all := rapid.SliceOfN(moves, 20, 60).Draw(rt, "moves")
		lives, made = lives+1, made+len(all)
		n, err := play(t, all, nil)
		if warm += n; err != nil {
			rt.Fatal(err)
		}
	})
	counts(t, "model: %d lives of %d moves, %d containers served out of a pool", lives, made, warm)
	if lives > 9 && warm == 0 {
		t.Error("nobody was served out of a pool: the lives show less than they say")
	}
}
