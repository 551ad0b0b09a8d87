package proof

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
)

func distinct(text string) []string {
	var points []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); !slices.Contains(points, line) {
			points = append(points, line)
		}
	}
	return points
}

// paces are the waits between two looks of the node at what is wanted of it.
// Lives are lived at each in turn until all points are reached: which steps there
// are between two of the node's depends on them.
var paces = []time.Duration{
	3 * time.Millisecond, 20 * time.Millisecond, time.Millisecond, 60 * time.Millisecond, 8 * time.Millisecond,
	3 * time.Millisecond, 20 * time.Millisecond, time.Millisecond, 60 * time.Millisecond, 8 * time.Millisecond,
}

const (
	// together is how many points share a life, far from each other in it: at each
	// of them the controller is killed. In the long run each has its own.
	together = 4
	// sharedRounds are those of the paces at which lives are shared, and at which
	// points that come by chance are looked for. After them each point that is
	// left has a life of its own, so that no other leads away from it.
	sharedRounds = 5
)

// F50: the controller is killed at each of its writes and calls, before it and
// after it. Another goes on, and nothing is lost, left or there twice. What a
// life with a pool has in common with one without is killed there alone, but
// for the long run.
func TestF50_CrashMatrix(t *testing.T) {
	for _, local := range []bool{false, true} {
		var done []string
		kinds := []kind{{local: local}, {local: local, pooled: true}, {local: local, moved: true}}
		if !local {
			kinds = append(kinds, kind{public: true}, kind{shared: true}) // a node's own NICs have one address each
		}
		for _, of := range kinds {
			t.Run(of.String(), func(t *testing.T) {
				passed := crashMatrix(t, of, done)
				if !long() {
					done = append(done, passed...)
				}
			})
		}
	}
}

// crashMatrix kills lives of the kind at each point but those that are done,
// and returns the points that such lives pass.
func crashMatrix(t *testing.T, of kind, done []string) []string {
	steady, chance := pointsOf(t, of)
	all := slices.Concat(steady, chance)
	old := func(point string) bool { return slices.Contains(done, point) }
	steady, chance = slices.DeleteFunc(steady, old), slices.DeleteFunc(chance, old)
	hits := killAt(t, of, steady, chance)
	steady, chance = byChanceTwice(t, of, steady, chance, hits)
	hit, lucky := 0, 0
	t.Run("points", func(t *testing.T) {
		for i, point := range slices.Concat(steady, chance) {
			t.Run(fmt.Sprintf("%03d", i), func(t *testing.T) {
				switch reached := slices.Contains(hits, point); {
				case reached && i < len(steady):
					hit++
				case reached:
					lucky++
				case i < len(steady):
					t.Errorf("in %d lives the controller did not come to: %s", len(paces), point)
				}
			})
		}
	})
	counts(t, "crash matrix (%s): hit %d of %d, and %d of %d that come by chance", of, hit, len(steady), lucky, len(chance))
	if hit != len(steady) || hit == 0 {
		t.Errorf("hit %d of %d points", hit, len(steady))
	}
	return all
}

// byChanceTwice looks once more at the points that no life came to: what comes by
// chance may do so twice on a busy machine, and pass for steady.
func byChanceTwice(t *testing.T, of kind, steady, chance, hits []string) (stays, comes []string) {
	t.Helper()
	missed := func(point string) bool { return !slices.Contains(hits, point) }
	if !slices.ContainsFunc(steady, missed) {
		return steady, chance
	}
	again, _ := pointsOf(t, of)
	for _, point := range steady {
		if missed(point) && !slices.Contains(again, point) {
			chance = append(chance, point)
		} else {
			stays = append(stays, point)
		}
	}
	return stays, chance
}

// pointsOf lives three whole lives. What one of them alone has passed comes by
// chance: two writers met there. So do conditions: how long things take on a busy
// machine decides which of them are told.
func pointsOf(t *testing.T, of kind) (steady, chance []string) {
	t.Helper()
	times := map[string]int{}
	var all []string
	for _, pace := range paces[:3] {
		whole := newLife(t, of)
		whole.pace = pace
		if err := whole.live(); err != nil {
			t.Fatal(err)
		}
		points, err := whole.points()
		if err != nil {
			t.Fatal(err)
		}
		for _, point := range points {
			if times[point]++; times[point] == 1 {
				all = append(all, point)
			}
		}
	}
	for _, point := range all {
		if times[point] > 1 && !onlyTells(point) && !onlyForgets(point) {
			steady = append(steady, point)
		} else {
			chance = append(chance, point)
		}
	}
	return steady, chance
}

// onlyTells says whether the point is at a commit that moves nothing of ours on:
// each record that it writes is as it was, but for its conditions, and for the
// state that the provider was seen in. How many looks fall into a change there
// is chance on a busy machine, and whether one is seen at all.
func onlyTells(point string) bool {
	_, writes, commits := strings.Cut(point, "commit ")
	for write := range strings.FieldsSeq(writes) {
		from, to, changes := strings.Cut(write, ">")
		if made := write[0] == '+' || write[0] == '-'; made || changes && ours(from) != ours(to) {
			return false
		}
	}
	return commits
}

// onlyForgets says whether the point is at a commit that ends what has cooled down of
// seats alone: how many of them it ends together is chance.
func onlyForgets(point string) bool {
	_, writes, commits := strings.Cut(point, "commit ")
	return commits && strings.Trim(strings.ReplaceAll(writes, "-seat", ""), " ") == ""
}

// seenStates are those that a provider's word has.
var seenStates = []nic.State{
	nic.StateCreating, nic.StateAvailable, nic.StateAttaching, nic.StateAttached,
	nic.StateDetaching, nic.StateDeleting, nic.StateFailed,
}

// ours is a value without the kind of its record and the provider's word.
func ours(value string) string {
	_, parts, _ := strings.Cut(value, "(")
	return strings.Join(slices.DeleteFunc(strings.Split(strings.TrimSuffix(parts, ")"), ","), func(part string) bool {
		return slices.Contains(seenStates, nic.State(part))
	}), ",")
}

// killAt lives lives until one has been killed at each of the points, and
// returns those where one was.
func killAt(t *testing.T, of kind, steady, chance []string) (hits []string) {
	t.Helper()
	left := slices.Concat(steady, chance)
	var mu sync.Mutex
	for round, pace := range paces {
		if len(left) == 0 {
			break
		}
		share := together
		if long() {
			share = 1
		}
		if round >= sharedRounds {
			share = 1
			left = slices.DeleteFunc(left, func(point string) bool { return !long() && slices.Contains(chance, point) })
		}
		t.Run(fmt.Sprintf("round %d", round), func(t *testing.T) {
			for i, points := range spread(left, share) {
				t.Run(fmt.Sprintf("%02d", i), func(t *testing.T) {
					t.Parallel()
					l := newLife(t, of, points...)
					l.pace = pace
					err := l.live()
					mu.Lock()
					defer mu.Unlock()
					hits = append(hits, l.hits...)
					if err != nil {
						t.Errorf("killed %q: %v", l.hits, err)
					}
				})
			}
		})
		left = slices.DeleteFunc(left, func(point string) bool { return slices.Contains(hits, point) })
	}
	return hits
}

// spread deals points, which are in the order of a life, to lives of at most
// share each, so that those of one life are far from each other.
func spread(points []string, share int) [][]string {
	lives := make([][]string, (len(points)+share-1)/share)
	for i, point := range points {
		lives[i%len(lives)] = append(lives[i%len(lives)], point)
	}
	return lives
}
