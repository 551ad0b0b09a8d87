package proof

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// inWorld runs do in a world with two nodes and demands that all holds at the
// end.
func inWorld(t *testing.T, cloud fake.Options, do func(w *world) error) {
	t.Helper()
	inBubble(t, func(t *testing.T) error {
		w := newWorld(t, cloud, nil, "vm1", "vm2")
		defer w.close()
		return errors.Join(do(w), w.check())
	})
}

// bound says whether the container has its NIC.
func (w *world) bound(of *container) func() bool {
	return func() bool {
		claim, _ := w.claimOf(of)
		return claim.Phase == nic.ClaimBound
	}
}

// F02: the attach is refused, and the roll-back's own calls fail too, each
// three times.
func TestF02_ARollBackThatFails(t *testing.T) {
	for _, kind := range kinds[1:] { // but for the lie that there is no NIC
		inWorld(t, slowly(), func(w *world) error {
			w.cloud.Fail(fake.OpAttach, provider.ErrDenied)
			for range 3 {
				for _, op := range []string{fake.OpGet, fake.OpDetach, fake.OpDelete} {
					w.cloud.Fail(op, kind)
				}
			}
			of := w.agents[0].run(1, nic.Request{Network: "few"})
			err := w.until(time.Hour, fmt.Sprintf("bound after a roll-back that was %s", kind), w.bound(of))
			if n := len(latest(w.cloud)); n != 1 {
				err = errors.Join(err, fmt.Errorf("%s: the cloud has %d NICs, want 1", kind, n))
			}
			of.running, of.gone = false, true
			return errors.Join(err, w.check(), w.pass(10*time.Minute), w.empty())
		})
	}
}

// F03: 50 creates whose replies are lost, some while the controller restarts,
// make 50 NICs.
func TestF03_OneNICForEachRequest(t *testing.T) {
	cloud := slowly()
	cloud.NICsPerInstance = 100
	inWorld(t, cloud, func(w *world) error {
		var all []*container
		for n := range 50 {
			w.cloud.Lose(fake.OpCreate)
			all = append(all, w.agents[n%2].run(n+1, nic.Request{Network: "many"}))
			err := w.pass(time.Second)
			if n%7 == 0 {
				err = errors.Join(err, w.crash())
			}
			if err != nil {
				return err
			}
		}
		for _, of := range all {
			if err := w.until(5*time.Minute, "bound", w.bound(of)); err != nil {
				return err
			}
		}
		if n, made := len(latest(w.cloud)), w.cloud.Counts()[fake.OpCreate].Effects; n != 50 || made != 50 {
			return fmt.Errorf("there are %d NICs of %d made, want 50", n, made)
		}
		return nil
	})
}

// squatter makes each NIC with other parameters first, and loses the reply.
type squatter struct {
	provider.Provider
	left atomic.Int32
}

func (s *squatter) Create(ctx context.Context, spec nic.Spec) (nic.Seen, error) {
	if s.left.Add(-1) >= 0 {
		spec.MAC = nic.NewMAC()
		if _, err := s.Provider.Create(ctx, spec); err != nil {
			return nic.Seen{}, err
		}
		return nic.Seen{}, &provider.Error{Kind: provider.ErrUnknown, Op: fake.OpCreate}
	}
	return s.Provider.Create(ctx, spec)
}

// F03: a token that is used again with other parameters is told, and not tried
// for ever.
func TestF03_ATokenWithOtherParametersIsTold(t *testing.T) {
	inWorld(t, slowly(), func(w *world) error {
		s := &squatter{Provider: w.cloud}
		s.left.Store(1)
		w.via = s
		if err := w.crash(); err != nil {
			return err
		}
		of := w.agents[0].run(1, nic.Request{Network: "few"})
		var told nic.Claim
		err := w.until(time.Minute, "refused", func() bool {
			told, _ = w.claimOf(of)
			return told.Phase == nic.ClaimRefused
		})
		if err != nil {
			return err
		}
		if why := told.Conditions[0]; why.Reason != nic.ReasonProviderError {
			return fmt.Errorf("refused with %+v", why)
		}
		return errors.Join(w.until(10*time.Minute, "bound with another NIC", w.bound(of)), w.check())
	})
}

// F04: a NIC that the cloud does not show yet is neither made again nor called
// failed.
func TestF04_AYoungNICIsWaitedFor(t *testing.T) {
	for _, lag := range []time.Duration{time.Second, 5 * time.Second, 30 * time.Second} {
		cloud := slowly()
		cloud.Lag = lag
		inWorld(t, cloud, func(w *world) error {
			of := w.agents[0].run(1, nic.Request{Network: "few"})
			for range 90 {
				if err := errors.Join(w.pass(time.Second), w.check()); err != nil {
					return err
				}
				if claim, _ := w.claimOf(of); claim.Phase == nic.ClaimRefused {
					return fmt.Errorf("hidden for %s: refused with %+v", lag, claim.Conditions)
				}
			}
			if made := w.cloud.Counts()[fake.OpCreate].Effects; made != 1 || !w.bound(of)() {
				return fmt.Errorf("hidden for %s: %d NICs were made; bound: %t", lag, made, w.bound(of)())
			}
			return nil
		})
	}
}

// F14: a delete that was acknowledged is done when the cloud says that nothing
// is there. Until then the record stays, says what it waits for, and nobody
// gets what the NIC takes up.
func TestF14_ADeleteIsDoneWhenNothingIsThere(t *testing.T) {
	for _, takes := range []time.Duration{20 * time.Second, 20 * time.Minute} {
		cloud := slowly()
		cloud.Latency.Delete, cloud.Quota = takes, 1
		inWorld(t, cloud, func(w *world) error {
			first := w.agents[0].run(1, nic.Request{Network: "many"})
			if err := w.until(time.Minute, "bound", w.bound(first)); err != nil {
				return err
			}
			first.running, first.gone = false, true
			if err := w.pass(15 * time.Second); err != nil {
				return err
			}
			second := w.agents[1].run(2, nic.Request{Network: "many"})
			early := 0
			for end := time.Now().Add(takes - 10*time.Second); time.Now().Before(end); {
				if err := errors.Join(w.pass(10*time.Second), w.check()); err != nil {
					return err
				}
				if _, there := w.claimOf(first); there && w.bound(second)() {
					early++
				}
			}
			if early > 0 {
				return errors.New("the quota was used twice")
			}
			if calls := w.cloud.Counts()[fake.OpDelete].Calls; calls > 20+int(takes/(2*time.Second)) {
				return fmt.Errorf("delete was called %d times in %s", calls, takes)
			}
			return w.until(3*time.Hour, "bound once the first is gone", w.bound(second))
		})
	}
}

// F17: three addresses, ten requests: three are served, seven are refused and
// say why, nothing is made in vain; and what comes back is given to the next.
func TestF17_AnExhaustedSubnet(t *testing.T) {
	cloud := slowly()
	cloud.NICsPerInstance = 20
	inWorld(t, cloud, func(w *world) error {
		var all []*container
		for n := range 10 {
			all = append(all, w.agents[n%2].run(n+1, nic.Request{Network: "few"}))
		}
		count := func() (bound, refused int) {
			for _, of := range all {
				claim, _ := w.claimOf(of)
				switch {
				case claim.Phase == nic.ClaimBound:
					bound++
				case claim.Phase == nic.ClaimRefused && claim.Conditions[0].Reason == nic.ReasonExhausted:
					refused++
				}
			}
			return bound, refused
		}
		err := w.until(2*time.Minute, "settled", func() bool { b, r := count(); return b == 3 && r == 7 })
		if err != nil || len(latest(w.cloud)) != 3 || w.cloud.Counts()[fake.OpCreate].Effects != 3 {
			return errors.Join(err, fmt.Errorf("the cloud has %v", latest(w.cloud)))
		}
		for left := 3; len(all) > 3; left-- {
			for _, of := range all { // one that has an address goes
				if w.bound(of)() {
					of.running, of.gone = false, true
					all = without(all, of)
					break
				}
			}
			err := w.until(3*time.Minute, "given to the next", func() bool { b, _ := count(); return b == 3 })
			if err = errors.Join(err, w.check()); err != nil {
				return err
			}
		}
		return nil
	})
}

// A short provider leaves half of what there is out of its answers, or all.
type short struct {
	provider.Provider
	on, none atomic.Bool
}

func (s *short) Get(ctx context.Context, ids ...nic.ID) (map[nic.ID]nic.Seen, error) {
	seen, err := s.Provider.Get(ctx, ids...)
	for id := range seen {
		if s.on.Load() && (s.none.Load() || id[len(id)-1]&1 == 0) {
			delete(seen, id)
		}
	}
	return seen, err
}

func (s *short) List(ctx context.Context) ([]nic.Seen, error) {
	all, err := s.Provider.List(ctx)
	if s.on.Load() {
		all = all[:len(all)/2]
	}
	if s.none.Load() {
		all = nil
	}
	return all, err
}

// F51: half of the NICs, or all, are missing from what the cloud says, before and after
// a start. Nothing that is in use is freed, unplugged or made anew.
func TestF51_AShortListFreesNothing(t *testing.T) {
	inWorld(t, slowly(), func(w *world) error {
		s := &short{Provider: w.cloud}
		w.via = s
		if err := w.crash(); err != nil {
			return err
		}
		var all []*container
		for n := range 12 {
			all = append(all, w.agents[n%2].run(n+1, nic.Request{Network: "many"}))
		}
		for _, of := range all {
			if err := w.until(2*time.Minute, "bound", w.bound(of)); err != nil {
				return err
			}
		}
		was := latest(w.cloud)
		s.on.Store(true)
		for round := range 3 {
			s.none.Store(round == 1)
			if err := errors.Join(w.crash(), w.pass(7*time.Minute), w.check()); err != nil {
				return err
			}
		}
		s.on.Store(false)
		s.none.Store(false)
		if err := w.pass(10 * time.Minute); err != nil {
			return err
		}
		for _, of := range all {
			if !w.bound(of)() {
				return fmt.Errorf("%s is not bound any more", of.owner)
			}
		}
		if now := latest(w.cloud); fmt.Sprint(now) != fmt.Sprint(was) {
			return fmt.Errorf("the cloud had %v, and has %v", was, now)
		}
		return nil
	})
}

// shift moves every time in the records by d, as if the clock had jumped by -d.
func shift(s store.Store, d time.Duration) error {
	ctx := context.Background()
	all, _, err := s.List(ctx, "", "", 0)
	for _, r := range all {
		var v any
		if kind := r.Key[:4]; kind == "lead" || json.Unmarshal(r.Value, &v) != nil {
			continue
		}
		value, jsonErr := json.Marshal(moved(v, d))
		_, commitErr := s.Commit(ctx, store.Update(r.Key, value, r.Rev))
		err = errors.Join(err, jsonErr, commitErr)
	}
	return err
}

func moved(v any, d time.Duration) any {
	switch v := v.(type) {
	case map[string]any:
		for key, part := range v {
			v[key] = moved(part, d)
		}
	case []any:
		for i, part := range v {
			v[i] = moved(part, d)
		}
	case string:
		if at, err := time.Parse(time.RFC3339Nano, v); err == nil && !at.IsZero() {
			return at.Add(d).Format(time.RFC3339Nano)
		}
	}
	return v
}

// F66: the controller's clock jumps by an hour or a day, either way, while NICs
// are in use and on their way. What is in use stays as it is, without a call to
// the cloud, and what was on its way arrives.
func TestF66_AClockJumpFreesNothing(t *testing.T) {
	for _, jump := range []time.Duration{time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour} {
		inWorld(t, slowly(), func(w *world) error {
			var all []*container
			for n := range 6 {
				all = append(all, w.agents[n%2].run(n+1, nic.Request{Network: "many"}))
			}
			for _, of := range all {
				if err := w.until(2*time.Minute, "bound", w.bound(of)); err != nil {
					return err
				}
			}
			was, counts := latest(w.cloud), w.cloud.Counts()
			if err := errors.Join(w.end(), shift(w.truth, -jump), w.start(), w.pass(10*time.Minute)); err != nil {
				return err
			}
			now := w.cloud.Counts()
			for _, op := range []string{fake.OpCreate, fake.OpAttach, fake.OpDetach, fake.OpDelete} {
				if now[op] != counts[op] {
					return fmt.Errorf("jump of %s: %s was called: %+v, before %+v", jump, op, now[op], counts[op])
				}
			}
			if fmt.Sprint(latest(w.cloud)) != fmt.Sprint(was) {
				return fmt.Errorf("jump of %s: the cloud has changed", jump)
			}
			late := w.agents[0].run(7, nic.Request{Network: "many"})
			err := errors.Join(w.pass(4*time.Second), w.end(), shift(w.truth, -jump), w.start())
			return errors.Join(err, w.until(2*time.Hour, fmt.Sprintf("bound after a jump of %s on its way", jump), w.bound(late)))
		})
	}
}
