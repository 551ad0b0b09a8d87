//go:build linux

package lab

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nicferry/nicferry/nic"
)

func TestParsePing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		out  string
		want PingResult
		ok   bool
	}{
		"clean": {
			"--- 10.0.0.1 ping statistics ---\n500 packets transmitted, 500 received, 0% packet loss, time 4990ms\nrtt min/avg/max/mdev = 0.1/0.2/0.3/0.0 ms\n",
			PingResult{500, 500, 0, 4990 * time.Millisecond},
			true,
		},
		"errors and duplicates": {
			"5 packets transmitted, 3 received, +1 duplicates, +2 errors, 40% packet loss, time 40ms\n",
			PingResult{5, 3, 2, 40 * time.Millisecond},
			true,
		},
		"nothing":     {"", PingResult{}, false},
		"huge number": {"99999999999999999999 packets transmitted, 1 received, 0% packet loss, time 1ms", PingResult{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parsePing(tt.out)
			if got != tt.want || (err == nil) != tt.ok {
				t.Errorf("got %+v, %v; want %+v", got, err, tt.want)
			}
		})
	}
}

func TestParseLeases(t *testing.T) {
	t.Parallel()
	got, err := parseLeases("1790000000 02:00:00:00:00:01 10.77.0.105 * 01:02:00\n1790000001 02:00:00:00:00:02 10.77.0.106 web *\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []Lease{
		{time.Unix(1790000000, 0), nic.MAC{2, 0, 0, 0, 0, 1}, netip.MustParseAddr("10.77.0.105"), "", "01:02:00"},
		{time.Unix(1790000001, 0), nic.MAC{2, 0, 0, 0, 0, 2}, netip.MustParseAddr("10.77.0.106"), "web", ""},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Error(diff)
	}
	if _, err := parseLeases("duid 00:01\n"); err == nil {
		t.Error("accepted a line of two fields")
	}
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		stat      string
		pid, ppid int
		state     string
	}{
		{"12 (sh) S 7 12 12 0", 12, 7, "S"},
		{"12 (a) Z 9 (b)) Z 7 12", 12, 7, "Z"},
		{"", 0, 0, ""},
	} {
		if pid, ppid, state := parseStat(tt.stat); pid != tt.pid || ppid != tt.ppid || state != tt.state {
			t.Errorf("%q: got %d, %d, %s", tt.stat, pid, ppid, state)
		}
	}
}

func TestNormalizeDropsWhatChangesByItself(t *testing.T) {
	t.Parallel()
	before := `[{"ifindex":3,"ifname":"a","operstate":"DOWN","flags":["UP","NO-CARRIER"],"addr_info":[{"local":"10.0.0.1","valid_life_time":30}],"linkinfo":{"info_data":{"gc_timer":1.2,"priority":1}}},{}]`
	after := `[{"ifindex":9,"ifname":"a","operstate":"UP","flags":["UP","LOWER_UP"],"addr_info":[{"local":"10.0.0.1","valid_life_time":29}],"linkinfo":{"info_data":{"gc_timer":9.2,"priority":1}}}]`
	a, err := normalize(before, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := normalize(after, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := Diff(Snapshot{"x": a}, Snapshot{"x": b}); len(diff) > 0 || len(a) != 1 {
		t.Errorf("%v\n%v", a, diff)
	}
	learned, err := normalize(`[{"mac":"02:00:00:00:00:01","ifname":"a","flags":[],"master":"br0","state":""}]`, isLearned)
	if err != nil || len(learned) != 0 {
		t.Errorf("learned entry stayed: %v, %v", learned, err)
	}
}

func TestDiffCounts(t *testing.T) {
	t.Parallel()
	before := Snapshot{"p": {"a", "a", "b"}, "gone": {"x"}}
	after := Snapshot{"p": {"a", "c", "c"}, "new": {"y"}}
	want := []string{"gone: - x", "new: + y", "p: - a", "p: - b", "p: + c", "p: + c"}
	if diff := cmp.Diff(want, Diff(before, after)); diff != "" {
		t.Error(diff)
	}
}
