package ipam_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nicferry/nicferry/allocator/ipam"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// A model of a pool: a table, looked through from end to end.
type model[K ipam.Key] struct {
	held    map[K]bool
	resting map[K]time.Time
}

func (m model[K]) pick(keys []K, now time.Time) (K, bool) {
	var best K
	found := false
	for _, k := range keys {
		from, rests := m.resting[k]
		switch {
		case !rests && !m.held[k]:
			return k, true
		case rests && !from.After(now) && (!found || from.Before(m.resting[best])):
			best, found = k, true
		}
	}
	return best, found
}

// No key is given twice, none outside the spans, all in their order; what is
// given back rests, and comes back when it must: held against a table.
func TestPoolAgainstATable(t *testing.T) {
	t.Run("IPv4", func(t *testing.T) {
		againstATable(t, [][]netip.Addr{listAddrs("10.0.0.250", 12), listAddrs("10.0.0.5", 3)}, listAddrs("10.0.0.0", 600))
	})
	t.Run("IPv6", func(t *testing.T) { // across the middle of 128 bits
		againstATable(t, [][]netip.Addr{listAddrs("fd00::ffff:ffff:ffff:fff8", 16)}, listAddrs("fd00::ffff:ffff:ffff:fff0", 32))
	})
	t.Run("numbers", func(t *testing.T) {
		var all []ipam.Number
		for n := range ipam.Number(40) {
			all = append(all, n)
		}
		againstATable(t, [][]ipam.Number{all[1:15]}, all)
	})
}

func listAddrs(first string, n int) []netip.Addr {
	var all []netip.Addr
	for a := addr(first); len(all) < n; a = a.Next() {
		all = append(all, a)
	}
	return all
}

func againstATable[K ipam.Key](t *testing.T, parts [][]K, all []K) {
	var spans []ipam.Span[K]
	for _, p := range parts {
		spans = append(spans, ipam.Span[K]{First: p[0], Last: p[len(p)-1]})
	}
	keys := slices.Concat(parts...)
	rapid.Check(t, func(t *rapid.T) {
		var pool ipam.Pool[K]
		m := model[K]{map[K]bool{}, map[K]time.Time{}}
		now := epoch
		forget := func(k K) { delete(m.held, k); delete(m.resting, k) }
		any := rapid.SampledFrom(all) // also of other networks in the space
		t.Repeat(map[string]func(*rapid.T){
			"pick": func(t *rapid.T) {
				got, ok := pool.Pick(spans, now)
				want, wantOK := m.pick(keys, now)
				if ok != wantOK || ok && got != want && !m.resting[got].Equal(m.resting[want]) {
					t.Fatalf("picked %v, %v; want %v, %v", got, ok, want, wantOK)
				}
				if !ok {
					return
				}
				if m.held[got] || !slices.Contains(keys, got) {
					t.Fatalf("picked %v, which is held (%v) or in no span", got, m.held[got])
				}
				pool.Hold(got)
				forget(got)
				m.held[got] = true
			},
			"hold": func(t *rapid.T) {
				k := any.Draw(t, "key")
				pool.Hold(k)
				forget(k)
				m.held[k] = true
			},
			"rest": func(t *rapid.T) {
				k, wait := any.Draw(t, "key"), rapid.IntRange(0, 5).Draw(t, "seconds")
				pool.Rest(k, now.Add(time.Duration(wait)*time.Second))
				forget(k)
				m.resting[k] = now.Add(time.Duration(wait) * time.Second)
			},
			"drop":  func(t *rapid.T) { k := any.Draw(t, "key"); pool.Drop(k); forget(k) },
			"later": func(t *rapid.T) { now = now.Add(time.Duration(rapid.IntRange(1, 5).Draw(t, "s")) * time.Second) },
			"": func(t *rapid.T) {
				sameUse(t, &pool, m, spans, keys, now)
				for _, k := range all {
					if _, rests := m.resting[k]; pool.Taken(k) != (rests || m.held[k]) {
						t.Fatalf("%v is taken: %v", k, pool.Taken(k))
					}
				}
			},
		})
	})
}

func sameUse[K ipam.Key](t *rapid.T, pool *ipam.Pool[K], m model[K], spans []ipam.Span[K], keys []K, now time.Time) {
	want := ipam.Usage{Size: uint64(len(keys))}
	var held []K
	for _, k := range keys {
		if m.held[k] {
			want.Held++
			held = append(held, k)
		}
		if from, rests := m.resting[k]; rests && from.After(now) {
			want.Resting++
			if want.Next.IsZero() || from.Before(want.Next) {
				want.Next = from
			}
		}
	}
	if got := pool.Use(spans, now); got != want {
		t.Fatalf("use: got %+v, want %+v", got, want)
	}
	if got := pool.Held(spans, 3); fmt.Sprint(got) != fmt.Sprint(held[:min(3, len(held))]) {
		t.Fatalf("held: got %v, want the first of %v", got, held)
	}
}

// F70: all VLAN ids are given, each once; then no more; one that is given back
// only after its rest.
func TestF70_VLANsRunOutAloud(t *testing.T) {
	var pool ipam.Pool[ipam.Number]
	spans, now := ipam.VLAN.Spans(), epoch
	given := map[ipam.Number]bool{}
	for range 4094 {
		id, ok := pool.Pick(spans, now)
		if !ok || given[id] || id < 1 || id > 4094 {
			t.Fatalf("after %d: got %d, %v", len(given), id, ok)
		}
		given[id] = true
		pool.Hold(id)
	}
	if id, ok := pool.Pick(spans, now); ok {
		t.Fatalf("the 4,095th is %d", id)
	}
	pool.Rest(7, now.Add(time.Minute))
	if id, ok := pool.Pick(spans, now.Add(59*time.Second)); ok {
		t.Fatalf("%d is given again within its quarantine", id)
	}
	use := pool.Use(spans, now)
	text := ipam.Full("VLAN ids 1-4094 are used up", use, []string{"a", "b", "c"})
	if want := "VLAN ids 1-4094 are used up: 4093 of 4094 held, 1 cooling down, the next is free at 03:05:05 UTC; held by a, b, c and 4090 more"; text != want {
		t.Errorf("got  %q\nwant %q", text, want)
	}
	if id, ok := pool.Pick(spans, now.Add(time.Minute)); !ok || id != 7 {
		t.Errorf("after it: got %d, %v; want 7", id, ok)
	}
}

// F70: 100,000 networks by VNI, some of them ended, without an overlap.
func TestF70_VNIsDoNotOverlap(t *testing.T) {
	for _, kind := range []ipam.NumberKind{ipam.VNI, ipam.GRE} {
		var pool ipam.Pool[ipam.Number]
		held := map[ipam.Number]bool{}
		now := epoch
		random := rand.New(rand.NewPCG(1, 2))
		for i := range 100_000 {
			id, ok := pool.Pick(kind.Spans(), now)
			if !ok || held[id] || id == 0 {
				t.Fatalf("%s, number %d: got %d, %v", kind, i, id, ok)
			}
			held[id] = true
			pool.Hold(id)
			if random.IntN(10) == 0 {
				for gone := range maps.Keys(held) {
					delete(held, gone)
					pool.Rest(gone, now.Add(time.Minute))
					break
				}
			}
			now = now.Add(time.Millisecond)
		}
		if use := pool.Use(kind.Spans(), now); use.Held != uint64(len(held)) {
			t.Errorf("%s: %d held, want %d", kind, use.Held, len(held))
		}
	}
	if ipam.NumberKind("nope").Spans() != nil {
		t.Error("a kind that is none has numbers")
	}
}

func TestHugeSpansAreCounted(t *testing.T) {
	var pool ipam.Pool[netip.Addr]
	spans := ipam.Spans(lab, true, nil)
	pool.Hold(addr("fd00::1"))
	use := pool.Use(append(spans, spans...), epoch)
	if use.Size != 1<<64-1 || use.Free() < 1<<63 {
		t.Errorf("got %+v, want as many as there can be", use)
	}
	if got, ok := pool.Pick(spans, epoch); !ok || got != addr("fd00::2") {
		t.Errorf("got %v, %v; want fd00::2", got, ok)
	}
}

func TestFullWithNobodyToName(t *testing.T) {
	text := ipam.Full("x", ipam.Usage{Size: 2, Resting: 2, Next: epoch.Add(5 * time.Second)}, nil)
	if strings.Contains(text, "held by") || !strings.Contains(text, "2 cooling down, the next is free at 03:04:10 UTC") {
		t.Errorf("got %q", text)
	}
}

// BenchmarkPick gives and takes back addresses of a /16 that has 60,000 taken:
// in one stretch, with every second one free, and with none that never had a
// holder.
func BenchmarkPick(b *testing.B) {
	spans := []ipam.Span[netip.Addr]{{First: addr("10.1.0.1"), Last: addr("10.1.255.254")}}
	first := addr("10.1.0.1")
	for _, c := range []struct {
		name string
		fill func(p *ipam.Pool[netip.Addr], i int, a netip.Addr)
	}{
		{"in a row", func(p *ipam.Pool[netip.Addr], i int, a netip.Addr) {
			if i < 60_000 {
				p.Hold(a)
			}
		}},
		{"scattered", func(p *ipam.Pool[netip.Addr], i int, a netip.Addr) {
			if i%2 == 0 || i < 54_466 {
				p.Hold(a)
			}
		}},
		{"all had a holder", func(p *ipam.Pool[netip.Addr], i int, a netip.Addr) {
			p.Hold(a)
			if i >= 60_000 {
				p.Rest(a, epoch.Add(time.Duration(i)))
			}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var pool ipam.Pool[netip.Addr]
			for i, a := 0, first; i < 65_534; i, a = i+1, a.Next() {
				c.fill(&pool, i, a)
			}
			now := epoch.Add(time.Hour)
			b.ResetTimer()
			for range b.N {
				a, ok := pool.Pick(spans, now)
				if !ok {
					b.Fatal("full")
				}
				pool.Hold(a)
				now = now.Add(time.Second)
				pool.Rest(a, now)
			}
		})
	}
}
