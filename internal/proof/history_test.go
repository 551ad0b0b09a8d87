package proof

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// What a rival asks about one address.
type question struct {
	addr   string
	remove bool // its container, and waits until the claim is gone
	who    int
}

// What it is told.
type answer string

const (
	granted answer = "granted"
	denied  answer = "denied"
	lost    answer = "no answer"
	removed answer = "removed"
)

// One address, as the model has it. It is comparable.
type address struct {
	holder int // 0: nobody
	// rests: it was somebody's until now, and may be kept from others a while.
	rests bool
	// waiting are those that were denied it: the controller gives it to one of
	// them by itself when it comes free. In order, as text.
	waiting string
}

func (a address) without(who int) address {
	a.waiting = strings.ReplaceAll(a.waiting, waiter(who), "")
	return a
}

func (a address) with(who int) address {
	if strings.Contains(a.waiting, waiter(who)) {
		return a
	}
	all := append(strings.SplitAfter(a.waiting, ";"), waiter(who))
	slices.Sort(all)
	a.waiting = strings.Join(all, "")
	return a
}

func waiter(who int) string { return fmt.Sprintf("<%d>;", who) }

// meanwhile are the states that the controller may have gone to by itself.
func (a address) meanwhile() []address {
	all := []address{a}
	if a.holder != 0 {
		return all
	}
	free := a
	free.rests = false
	if a.rests {
		all = append(all, free)
	}
	for part := range strings.SplitAfterSeq(a.waiting, ";") {
		var who int
		if _, err := fmt.Sscanf(part, "<%d>;", &who); err == nil {
			next := free.without(who)
			next.holder = who
			all = append(all, next)
		}
	}
	return all
}

// step returns the states after a question that got an answer.
func (a address) step(q question, got answer) []address {
	if q.remove {
		next := a.without(q.who)
		if a.holder == q.who {
			next.holder, next.rests = 0, true
		}
		return []address{next}
	}
	var all []address
	if got == lost {
		all = append(all, a)
	}
	mine := a.without(q.who)
	mine.holder, mine.rests = q.who, false
	if got != denied && (a.holder == q.who || a.holder == 0) {
		all = append(all, mine)
	}
	if got != granted && a.holder != q.who && (a.holder != 0 || a.rests) {
		all = append(all, a.with(q.who))
	}
	return all
}

// addresses is the model of all of them: each by itself.
func addresses() porcupine.Model {
	nm := porcupine.NondeterministicModel{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			by := map[string][]porcupine.Operation{}
			for _, op := range history {
				addr := op.Input.(question).addr
				by[addr] = append(by[addr], op)
			}
			var parts [][]porcupine.Operation
			for _, part := range by {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() []any { return []any{address{}} },
		Step: func(state, input, output any) []any {
			var all []any
			for _, now := range state.(address).meanwhile() {
				for _, next := range now.step(input.(question), output.(answer)) {
					all = append(all, next)
				}
			}
			return all
		},
	}
	return nm.ToModel()
}

// A history is what rivals asked and were told, in the order of a clock.
type history struct {
	w     *world
	clock atomic.Int64
	mu    sync.Mutex
	ops   []porcupine.Operation
	lost  int
}

func (h *history) note(call int64, q question, got answer) {
	op := porcupine.Operation{ClientId: q.who, Input: q, Call: call, Output: got, Return: h.clock.Add(1)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if got == lost {
		op.Return = math.MaxInt64 // it may still take effect
		h.lost++
	}
	h.ops = append(h.ops, op)
}

// rival runs containers that want one of the addresses, one after the other.
func (h *history) rival(seed uint64, number, lives int) error {
	r := rand.New(rand.NewPCG(seed, uint64(number)))
	for life := range lives {
		q := question{addr: fmt.Sprintf("10.0.2.%d", r.IntN(2)), who: 100*number + life + 1}
		owner := nic.Owner{Node: "vm1", Kind: nic.OwnerContainer, Sandbox: fmt.Sprintf("%064x", q.who), Interface: "eth0"}
		var claim nic.Claim
		for range 1 + r.IntN(3) {
			if got := h.ask(q, owner); got.ID != "" {
				claim = got
			}
			time.Sleep(time.Duration(r.IntN(40)) * time.Millisecond)
		}
		for claim.ID == "" {
			claim = h.ask(q, owner)
		}
		if err := h.remove(q, claim); err != nil {
			return err
		}
	}
	return nil
}

func (h *history) ask(q question, owner nic.Owner) nic.Claim {
	call := h.clock.Add(1)
	claim, err := h.w.alloc.Acquire(context.Background(), owner, fmt.Sprintf("rival-%d", q.who), nic.Request{
		Interface: "eth0", Network: "many", Addrs: []netip.Addr{netip.MustParseAddr(q.addr)},
	})
	switch {
	case err != nil:
		h.note(call, q, lost)
	case len(claim.Identity.Addrs) > 0:
		h.note(call, q, granted)
	default:
		h.note(call, q, denied)
	}
	return claim
}

func (h *history) remove(q question, claim nic.Claim) error {
	call := h.clock.Add(1)
	q.remove = true
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if err := h.w.alloc.Release(context.Background(), claim.ID, claim.Epoch); err != nil {
			continue
		}
		if _, _, err := store.GetJSON[nic.Claim](context.Background(), h.w.truth, "claim/"+string(claim.ID)); errors.Is(err, store.ErrNotFound) {
			h.note(call, q, removed)
			return nil
		}
	}
	return fmt.Errorf("claim %s was not gone within a minute of its release", claim.ID)
}

// record lets rivals fight over two addresses for a while and returns the
// history, and what must not be in the records meanwhile.
func record(t *testing.T, seed uint64, around func(store.Store) store.Store) (h *history, wrong error) {
	synctest.Test(t, func(t *testing.T) {
		cloud := fake.Options{Name: cloudName, NICsPerInstance: 1000}
		w := newWorld(t, cloud, around, "vm1")
		defer w.close()
		for w.agents[0].session == 0 {
			if err := w.round(); err != nil {
				t.Fatal(err)
			}
		}
		h = &history{w: w}
		done := make(chan struct{})
		var rivals, porter sync.WaitGroup
		porter.Go(func() {
			for {
				select {
				case <-done:
					return
				case <-time.After(5 * time.Millisecond):
					(&race{w: w, ctx: context.Background()}).carry(w.agents[0]) // what fails is said again
				}
			}
		})
		var mu sync.Mutex
		for number := range 5 {
			rivals.Go(func() {
				if err := h.rival(seed, number+1, 6); err != nil {
					mu.Lock()
					defer mu.Unlock()
					wrong = errors.Join(wrong, err)
				}
			})
		}
		rivals.Wait()
		close(done)
		porter.Wait()
		wrong = errors.Join(wrong, w.check())
	})
	return h, wrong
}

const seeds = 12

// P7: what the API says of addresses is what one that did a thing at a time
// could have said, also where the answer was lost.
func TestP7_TheHistoryIsLinearizable(t *testing.T) {
	n := uint64(seeds)
	if long() {
		n *= 20
	}
	ops, unknown := 0, 0
	for seed := range n {
		h, wrong := record(t, seed, func(s store.Store) store.Store { return lag(s, seed, 5) })
		if wrong != nil {
			t.Errorf("seed %d: %v", seed, wrong)
		}
		if got := porcupine.CheckOperationsTimeout(addresses(), h.ops, 5*time.Minute); got != porcupine.Ok {
			t.Errorf("seed %d: the history is %s:\n%s", seed, got, h)
		}
		ops, unknown = ops+len(h.ops), unknown+h.lost
	}
	counts(t, "linearizability: %d histories, %d calls, %d of them without an answer", n, ops, unknown)
	if unknown == 0 {
		t.Error("no answer was lost: the test shows less than it says")
	}
}

// A store that compares nothing gives an address twice, and that is seen.
func TestACarelessStoreIsCaught(t *testing.T) {
	caught, broken, runs := 0, 0, 0
	for seed := uint64(0); seed < 8 && caught == 0; seed++ { // to refuse one may take long: none is waited for to the end
		runs++
		h, wrong := record(t, seed, func(s store.Store) store.Store { return careless{lag(s, seed, 0)} })
		if porcupine.CheckOperationsTimeout(addresses(), h.ops, time.Minute) == porcupine.Illegal {
			caught++
		}
		if wrong != nil {
			broken++
		}
	}
	counts(t, "a store that compares nothing: its history was refused in %d of %d runs, its records in %d", caught, runs, broken)
	if caught == 0 {
		t.Errorf("in %d runs it was not caught", runs)
	}
}

func (h *history) String() string {
	slices.SortFunc(h.ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var b strings.Builder
	for _, op := range h.ops {
		fmt.Fprintf(&b, "  %d-%d %+v: %s\n", op.Call, op.Return, op.Input, op.Output)
	}
	return b.String()
}
