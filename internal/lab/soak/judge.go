//go:build linux

package soak

import (
	"fmt"
	"slices"

	"github.com/nicferry/nicferry/internal/bench/figures"
)

// A Result is what a run has come to.
type Result struct {
	Seed    uint64    `json:"seed"`
	For     string    `json:"for"`
	Every   string    `json:"every"`
	AtOnce  int       `json:"atOnce"`
	Seconds float64   `json:"seconds"`
	Lives   int       `json:"lives"` // containers that were started
	Faults  []Fault   `json:"faults"`
	Rests   []float64 `json:"rests"` // seconds from the removal of all until nothing was left
	Samples []Sample  `json:"samples"`
	Series  []Series  `json:"series"`
	// Problems are what went wrong beside what was to, and what was left behind.
	Problems []string `json:"problems,omitempty"`
	// Logs are the daemons', of a run that did not come to its end.
	Logs string `json:"-"`
}

// A Fault is one that was done, and what came of it.
type Fault struct {
	At      float64 `json:"at"`
	What    string  `json:"what"`
	How     string  `json:"how"`
	Took    float64 `json:"took"`    // seconds that the harm lasted
	Whole   float64 `json:"whole"`   // seconds from its end until all was whole again
	Running int     `json:"running"` // containers that answered then
	Broken  string  `json:"broken,omitempty"`
}

// Failed are the reasons why the run is not a good one; none is well.
func (r Result) Failed() []string {
	all := slices.Clone(r.Problems)
	for _, s := range r.Series {
		if s.Judged && !s.Flat {
			all = append(all, fmt.Sprintf("%s of %s is not flat: %s at rest in the second quarter, %s in the last; it may grow by %s", s.What, s.Whose, s.show(s.Early), s.show(s.Late), s.show(s.Allowed)))
		}
	}
	for _, what := range kinds() {
		if !slices.ContainsFunc(r.Series, func(s Series) bool { return s.What == what.name && s.Judged }) {
			all = append(all, fmt.Sprintf("nothing is known of %s: want %d samples at rest", what.name, leastRounds))
		}
	}
	return all
}

// A Series is one measure at rest, of one life of a daemon, or of the whole run.
type Series struct {
	What  string `json:"what"`
	Whose string `json:"whose"`
	Bytes bool   `json:"bytes,omitempty"`
	// Points is how many samples there are. Early and Late are the medians of their
	// second and of their last quarter, and Allowed is how far Late may be above.
	Points  int   `json:"points"`
	Early   int64 `json:"early"`
	Late    int64 `json:"late"`
	Allowed int64 `json:"allowed"`
	// Judged is that there were enough samples to tell, and Flat what they tell.
	Judged bool `json:"judged"`
	Flat   bool `json:"flat"`
}

func (s Series) show(v int64) string {
	if s.Bytes {
		return fmt.Sprintf("%.1f MiB", float64(v)/(1<<20))
	}
	return fmt.Sprint(v)
}

// leastRounds is how many samples at rest are enough for quarters.
const leastRounds = 4

// A kind is what is measured, and how far it may grow: by more than add and by more than
// the share.
type kind struct {
	name  string
	bytes bool
	add   int64
	share float64
	// of is the measure of a daemon, and at one of the whole; one of them is there.
	of func(Process) int64
	at func(Sample) int64
	// alike says that a daemon has as many after each start, so that all its lives are
	// one series too.
	alike bool
}

// kinds are all that must be flat.
func kinds() []kind {
	return []kind{
		{name: "RSS", bytes: true, add: 16 << 20, share: 0.2, of: func(p Process) int64 { return p.RSS }},
		{name: "threads", add: 8, of: func(p Process) int64 { return p.Threads }},
		// Connections that nobody uses are kept for a while, with their goroutines.
		{name: "open files", add: 6, of: func(p Process) int64 { return p.FDs }, alike: true},
		{name: "goroutines", add: 16, of: func(p Process) int64 { return p.Goroutines }, alike: true},
		{name: "network namespaces", at: func(s Sample) int64 { return s.Namespaces }},
		{name: "network interfaces", at: func(s Sample) int64 { return s.Links }},
		// The file is as large as the most that was ever in it, in steps.
		{name: "store's file", bytes: true, add: 64 << 10, share: 1, at: func(s Sample) int64 { return s.Store }},
		// Names, addresses and MACs are kept for 10 s, of as many containers as ended then.
		{name: "store's records", add: 40, share: 0.2, at: func(s Sample) int64 { return s.Records }},
		{name: "claims", at: func(s Sample) int64 { return s.Claims }},
	}
}

// judge holds the samples at rest against each other.
func judge(samples []Sample) (all []Series) {
	for _, k := range kinds() {
		if k.at != nil {
			var points []int64
			for _, s := range samples {
				if s.Rest && k.at(s) >= 0 {
					points = append(points, k.at(s))
				}
			}
			all = append(all, k.series("the whole", points))
			continue
		}
		for _, who := range []string{controller, agent} {
			all = append(all, k.ofDaemon(who, samples)...)
		}
	}
	return all
}

// ofDaemon are the series of a daemon's lives.
func (k kind) ofDaemon(who string, samples []Sample) (all []Series) {
	var every []int64
	lives := map[int][]int64{}
	last := 0
	for _, s := range samples {
		if p, ok := s.Of[who]; ok && s.Rest && k.of(p) >= 0 {
			every = append(every, k.of(p))
			lives[p.Life] = append(lives[p.Life], k.of(p))
			last = max(last, p.Life)
		}
	}
	for life := 1; life <= last; life++ {
		if len(lives[life]) > 0 {
			all = append(all, k.series(fmt.Sprintf("%s %d", who, life), lives[life]))
		}
	}
	if k.alike && last > 1 {
		all = append(all, k.series(who+", all", every))
	}
	return all
}

func (k kind) series(whose string, points []int64) Series {
	s := Series{What: k.name, Whose: whose, Bytes: k.bytes, Points: len(points)}
	if len(points) < leastRounds {
		return s
	}
	quarter := len(points) / 4
	s.Early = figures.Median(points[quarter : 2*quarter])
	s.Late = figures.Median(points[len(points)-quarter:])
	s.Allowed = max(k.add, int64(k.share*float64(s.Early)))
	s.Judged, s.Flat = true, s.Late-s.Early <= s.Allowed
	return s
}
