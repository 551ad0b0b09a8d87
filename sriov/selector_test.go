package sriov_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/sriov"
)

func sel(t *testing.T, s string) sriov.Selector {
	t.Helper()
	got, err := sriov.ParseSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]sriov.Address{
		"0000:03:00.1": "0000:03:00.1", "03:00.1": "0000:03:00.1", "0000:AF:1f.7": "0000:af:1f.7", "10000:01:00.0": "10000:01:00.0",
	} {
		if got, err := sriov.ParseAddress(in); err != nil || got != want {
			t.Errorf("%s is read as %s, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "eth0", "0000:03:00", "0000:03:00.8", "0000:03:20.0", "000:03:00.0", "0000:3:00.0", "0000:03:00.0/..", "0000:0g:00.0", "0000:03:00.00", "1:2:3:4.0"} {
		if got, err := sriov.ParseAddress(in); err == nil {
			t.Errorf("%q is read as %s", in, got)
		}
	}
}

func TestSelectors(t *testing.T) {
	t.Parallel()
	pf := cards(1, 4)[0]
	for _, c := range []struct {
		in, out string
		matches bool
		has     string // VFs 0 to 3
	}{
		{"ens1f0", "ens1f0", true, "0123"},
		{"ens1f1", "ens1f1", false, "0123"},
		{"ens?f*", "ens?f*", true, "0123"},
		{"03:00.0", "0000:03:00.0", true, "0123"},
		{"0000:03:00.0#2", "0000:03:00.0#2", true, "2"},
		{"ens1f0#3,0-1", "ens1f0#0-1,3", true, "013"},
		{"ens1f0#1-1", "ens1f0#1", true, "1"},
	} {
		s := sel(t, c.in)
		if s.String() != c.out || s.Matches(pf) != c.matches {
			t.Errorf("%s is %s, and matches: %v", c.in, s, s.Matches(pf))
		}
		var has strings.Builder
		for _, vf := range pf.VFs {
			if s.Has(vf.Index) {
				has.WriteByte('0' + byte(vf.Index))
			}
		}
		if has.String() != c.has {
			t.Errorf("%s has VFs %s, want %s", c.in, has.String(), c.has)
		}
		if again := sel(t, s.String()); again.String() != s.String() {
			t.Errorf("%s is read again as %s", s, again)
		}
	}
}

func TestSelectorsThatAreNone(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                   "want the name of an interface",
		"#1":                 "want the name of an interface",
		"ens1f0#":            "want numbers of VFs",
		"ens1f0#3-1":         "want numbers of VFs",
		"ens1f0#1,,2":        "want numbers of VFs",
		"ens1f0#-1":          "want numbers of VFs",
		"ens1f0#+1":          "want numbers of VFs",
		"ens1f0#65535":       "want numbers of VFs",
		"ens1f0#0-3,3":       "VF 3 is named twice",
		"ens1f0#5,1-9":       "VF 5 is named twice",
		"0000:03:00":         "want domain:bus:device.function",
		"[a-z]*":             "want the name of an interface",
		"../eth0":            "want the name of an interface",
		"averylonginterface": "1 to 15 bytes",
	} {
		if s, err := sriov.ParseSelector(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want an error with %q", in, s, err, want)
		}
	}
}

// shares are those of lists of selectors, each list another owner's.
func shares(t *testing.T, lists ...string) []sriov.Share {
	t.Helper()
	var all []sriov.Share
	for owner, list := range lists {
		for word := range strings.SplitSeq(list, " ") {
			all = append(all, sriov.Share{Selector: sel(t, word), Owner: owner})
		}
	}
	return all
}

// meetings are what both ways of looking tell, with owners for shares.
func meetings(t *testing.T, pfs []sriov.PF, lists ...string) string {
	t.Helper()
	all := shares(t, lists...)
	found := sriov.MeetingsByWord(all)
	if pfs != nil {
		found = sriov.MeetingsOn(pfs, all)
	}
	var texts []string
	for _, m := range found {
		texts = append(texts, fmt.Sprintf("%d and %d: VF %d of %s", all[m.First].Owner, all[m.Last].Owner, m.VF, m.Card))
	}
	return strings.Join(texts, "; ")
}

func TestMeetings(t *testing.T) {
	t.Parallel()
	pfs := cards(2, 8)
	for name, c := range map[string]struct {
		a, b string
		pfs  []sriov.PF
		want string // empty: none
	}{
		"same words":              {"ens1f0#0-3", "ens1f0#3-5", nil, "VF 3 of ens1f0"},
		"all and some":            {"ens1f0", "ens1f0#7", nil, "VF 7 of ens1f0"},
		"one within the other":    {"ens1f0#2", "ens1f0#0-7", nil, "VF 2 of ens1f0"},
		"side by side":            {"ens1f0#0-3", "ens1f0#4-7", pfs, ""},
		"name and address, blind": {"ens1f0", "0000:03:00.0", nil, ""},
		"name and address":        {"ens1f0#1-2", "0000:03:00.0#2", pfs, "VF 2 of ens1f0 (0000:03:00.0)"},
		"a pattern":               {"ens*", "ens1f1#5", pfs, "VF 5 of ens1f1 (0000:04:00.0)"},
		"a pattern, blind":        {"ens*", "ens1f1#5", nil, ""},
		"VFs that are not there":  {"ens*#8-9", "ens1f1#8", pfs, ""},
		"a card without VFs":      {"ens*", "ens1f1", cards(2, 0), ""},
		"two PFs":                 {"ens1f0", "ens1f1", pfs, ""},
		"two lists":               {"ens1f1 ens1f0", "ens9 03:00.0", pfs, "VF 0 of ens1f0 (0000:03:00.0)"},
		"two cards":               {"ens1f*", "ens1*#2-3", pfs, "VF 2 of ens1f0 (0000:03:00.0); 0 and 1: VF 2 of ens1f1 (0000:04:00.0)"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.want != "" {
				c.want = "0 and 1: " + c.want
			}
			for _, lists := range [][]string{{c.a, c.b}, {c.b, c.a}} { // either way round
				if got := meetings(t, c.pfs, lists...); got != c.want {
					t.Errorf("%q: %q, want %q", lists, got, c.want)
				}
			}
		})
	}
}

// Of each share one before it is told, all at once; what one owner has twice by its own
// words is its own matter on a node, and nobody's where it is the two sides of a bond.
func TestAllMeetings(t *testing.T) {
	t.Parallel()
	if got := meetings(t, nil, "ens1f0", "ens1f0", "ens1f0"); got != "0 and 1: VF 0 of ens1f0; 0 and 2: VF 0 of ens1f0" {
		t.Errorf("three owners of one PF: %q", got)
	}
	twice := shares(t, "ens1f0 ens1f0")
	if got := sriov.MeetingsByWord(twice); len(got) != 1 {
		t.Errorf("one list with a PF twice: %v", got)
	}
	if got := sriov.MeetingsOn(cards(1, 1), twice); len(got) != 0 {
		t.Errorf("one list with a PF twice, on a node: %v", got)
	}
	twice[1].Side = 1
	if got := sriov.MeetingsByWord(twice); len(got) != 0 {
		t.Errorf("both sides of a bond: %v", got)
	}
}

// A selector that was read is written and read again as the same.
func FuzzParseSelector(f *testing.F) {
	for _, seed := range []string{"ens1f0", "ens1f*#0-3,6", "0000:03:00.0#1", "03:00.0", "a#1-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s, err := sriov.ParseSelector(in)
		if err != nil {
			return
		}
		again, err := sriov.ParseSelector(s.String())
		if err != nil || again.String() != s.String() {
			t.Errorf("%q is %q, which is %q, %v", in, s, again, err)
		}
		for _, span := range s.Spans {
			if !s.Has(span.First) || !s.Has(span.Last) {
				t.Errorf("%s has not what it names", s)
			}
		}
	})
}

func TestNUMA(t *testing.T) {
	t.Parallel()
	nodes := map[int]string{0: "0-3,8-11\n", 1: "4-7,12-15", 2: ""}
	for cpuset, want := range map[string]int{
		"0": 0, "9-10": 0, "4,5": 1, "3-5": 1, "": sriov.None, "0-15": sriov.None, "3,4": sriov.None, "99": sriov.None, "0-3,12": 0,
	} {
		if got, err := sriov.NUMAOf(cpuset, nodes); err != nil || got != want {
			t.Errorf("processors %q are of node %d, %v; want %d", cpuset, got, err, want)
		}
	}
	for _, bad := range []string{"a", "1-", "3-1", "-1", "0-99999999", "1,,2"} {
		if got, err := sriov.NUMAOf(bad, nodes); err == nil {
			t.Errorf("processors %q are of node %d", bad, got)
		}
	}
	if got, err := sriov.NUMAOf("1", map[int]string{0: "x"}); err == nil {
		t.Errorf("a node with processors x: %d", got)
	}
}
