package ipam

import (
	"slices"
	"sort"
	"time"
)

// A Pool knows which keys are held, and which were and rest before others may
// have them. The keys it gives are those of the spans that the caller names, so
// that several networks can share an address space. The zero Pool is empty.
type Pool[K Key] struct {
	taken set // held and resting
	// since is when each resting key may be given to others.
	since map[point]time.Time
	// order has them by that time.
	order []resting
}

type resting struct {
	from time.Time
	key  point
}

func (r resting) before(o resting) bool {
	if r.from.Equal(o.from) {
		return r.key.less(o.key)
	}
	return r.from.Before(o.from)
}

// Hold notes that a key has a holder.
func (p *Pool[K]) Hold(k K) {
	at := pointOf(k)
	p.wake(at)
	p.taken.add(at, at)
}

// Rest notes that a key has no holder any more and may be given to others from
// that time on, when none is left that never had one.
func (p *Pool[K]) Rest(k K, from time.Time) {
	at := pointOf(k)
	p.wake(at)
	p.taken.add(at, at)
	if p.since == nil {
		p.since = map[point]time.Time{}
	}
	p.since[at] = from
	r := resting{from, at}
	p.order = slices.Insert(p.order, p.place(r), r)
}

// Drop notes that a key is neither held nor resting.
func (p *Pool[K]) Drop(k K) {
	at := pointOf(k)
	p.wake(at)
	p.taken.remove(at, at)
}

// Taken says whether the key is held or rests.
func (p *Pool[K]) Taken(k K) bool { return p.taken.has(pointOf(k)) }

// wake takes a key out of those that rest.
func (p *Pool[K]) wake(at point) {
	from, ok := p.since[at]
	if !ok {
		return
	}
	delete(p.since, at)
	i := p.place(resting{from, at})
	p.order = slices.Delete(p.order, i, i+1)
}

func (p *Pool[K]) place(r resting) int {
	return sort.Search(len(p.order), func(i int) bool { return !p.order[i].before(r) })
}

// Pick returns the first key of the spans, in their order, that is not taken.
// If there is none, it is the one that has rested longest, if any may be given
// by now. Nothing is noted: the caller Holds it.
func (p *Pool[K]) Pick(spans []Span[K], now time.Time) (k K, ok bool) {
	for _, s := range spans {
		if at, ok := p.taken.firstOut(pointOf(s.First), pointOf(s.Last)); ok {
			return keyOf[K](at), true
		}
	}
	for _, r := range p.order {
		if r.from.After(now) {
			break
		}
		if within(spans, r.key) {
			return keyOf[K](r.key), true
		}
	}
	return k, false
}

func within[K Key](spans []Span[K], at point) bool {
	return slices.ContainsFunc(spans, func(s Span[K]) bool {
		return !at.less(pointOf(s.First)) && !pointOf(s.Last).less(at)
	})
}

// A Usage says how full spans are. Counts that a uint64 does not hold are the
// most that it does.
type Usage struct {
	Size    uint64 // keys in all
	Held    uint64
	Resting uint64 // without holder, and not for others yet
	// Next is when the first of the resting may be given; zero if none rests.
	Next time.Time
}

// Free is how many keys can be given now.
func (u Usage) Free() uint64 { return u.Size - u.Held - u.Resting }

// Use says how full the spans are.
func (p *Pool[K]) Use(spans []Span[K], now time.Time) Usage {
	var u Usage
	for _, s := range spans {
		first, last := pointOf(s.First), pointOf(s.Last)
		u.Size = add(u.Size, count(first, last))
		for part := range p.taken.within(first, last) {
			u.Held = add(u.Held, count(part.first, part.last))
		}
	}
	for _, r := range p.order {
		if !within(spans, r.key) {
			continue
		}
		u.Held--
		if r.from.After(now) {
			if u.Resting == 0 {
				u.Next = r.from
			}
			u.Resting++
		}
	}
	return u
}

// Held returns up to limit of the spans' keys that have a holder, in order.
func (p *Pool[K]) Held(spans []Span[K], limit int) []K {
	var held []K
	for _, s := range spans {
		for part := range p.taken.within(pointOf(s.First), pointOf(s.Last)) {
			for at := part.first; len(held) < limit; at = at.next() {
				if _, rests := p.since[at]; !rests {
					held = append(held, keyOf[K](at))
				}
				if at == part.last {
					break
				}
			}
			if len(held) >= limit {
				return held
			}
		}
	}
	return held
}
