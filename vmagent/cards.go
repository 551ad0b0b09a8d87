package vmagent

import (
	"context"
	"errors"
	"reflect"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/retry"
	"github.com/nicferry/nicferry/nic"
)

// The node's cards are looked at when a link of the host has changed, at most once in
// cardsGap, and each cardsTick: what is changed by files alone changes no link. A node
// without cards is looked at by the tick alone.
const (
	cardsGap  = time.Second
	cardsTick = 30 * time.Second
	// cardsAnew is when they are told again although nothing has changed: a controller
	// may have become one that knows of cards.
	cardsAnew = 10 * time.Minute
)

// followCards tells the controller of the node's cards whenever they are not as it was
// told last, and has mended what somebody else has set of VFs, until ctx ends.
func (a *Agent) followCards(ctx context.Context) {
	if a.opts.Cards == nil {
		return
	}
	var watch *link.Watch
	defer func() {
		if watch != nil {
			watch.Close()
		}
	}()
	tick := time.NewTicker(cardsTick)
	defer tick.Stop()
	for {
		var changes <-chan struct{}
		if len(a.lookAtCards()) > 0 {
			changes = a.watchCards(&watch)
		}
		a.wakeDrifted(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case _, open := <-changes:
			if !open { // the socket broke
				watch.Close()
				watch = nil
			}
		}
		if retry.Sleep(ctx, cardsGap) != nil { // a change seldom comes alone
			return
		}
	}
}

// watchCards is told of changes of the host's links from now on; nil where the kernel lets
// nobody listen: then the tick alone must do.
func (a *Agent) watchCards(watch **link.Watch) <-chan struct{} {
	if *watch == nil {
		w, err := link.Subscribe(a.opts.Host)
		if err != nil {
			a.opts.Log.Warn("links of the host are not watched for cards, they are looked at now and then", "every", cardsTick, "err", err)
			return nil
		}
		*watch = w
		a.lookAtCards() // what has changed until now was not heard
	}
	return (*watch).C
}

// lookAtCards has the controller told of the cards as they are now. One look that
// fails is made up for by the next.
func (a *Agent) lookAtCards() []nic.Card {
	if a.opts.Cards == nil {
		return nil
	}
	a.looking.Lock() // an older look must not come after a newer one
	defer a.looking.Unlock()
	cards, err := a.opts.Cards()
	if err != nil {
		a.opts.Log.Warn("cards not looked at, will look again", "err", err)
		return a.report.lastCards()
	}
	a.report.tellCards(cards)
	return cards
}

// tellCards has the cards sent, unless the controller knows them so.
func (r *reporter) tellCards(cards []nic.Card) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cards = nil
	if sameCards(cards, r.knownCards) && (len(cards) == 0 || time.Since(r.cardsSent) < cardsAnew) {
		return
	}
	if cards == nil {
		cards = []nic.Card{} // in JSON nil is no news
	}
	r.cards = &cards
	r.wake()
}

// cardsKnown notes that the controller has been told of them.
func (r *reporter) cardsKnown(cards []nic.Card) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.noteCards(cards)
	if r.cards != nil && sameCards(*r.cards, cards) {
		r.cards = nil
	}
}

func (r *reporter) noteCards(cards []nic.Card) { r.knownCards, r.cardsSent = cards, time.Now() }

// lastCards are those that were seen last.
func (r *reporter) lastCards() []nic.Card {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cards != nil {
		return *r.cards
	}
	return r.knownCards
}

func sameCards(a, b []nic.Card) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
}

// wakeDrifted wakes the workers whose VFs somebody else has set.
func (a *Agent) wakeDrifted(ctx context.Context) {
	for _, w := range a.wishes.all() {
		p := a.plugs.seen(w.NIC)
		if w.Gone || !w.Device.Kind.Functions() || p == nil || !p.inside.open() {
			continue
		}
		if err := a.maker.Differs(ctx, w.NIC, w.Device); err != nil && !errors.Is(err, context.Canceled) {
			a.queue.Wake(keyOf(w))
		}
	}
}

// Unwanted says whether it is certain that the controller wants nothing of the NIC on
// this node, so that what was noted for it may be taken over. It may be called at any
// time.
func (a *Agent) Unwanted(id nic.ID) bool { return a.wishes.unwanted(id) }
