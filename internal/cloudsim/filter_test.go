package cloudsim_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// table reads a file of tab-separated columns.
func table(t *testing.T, name string) [][]string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	var rows [][]string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			rows = append(rows, strings.Split(line, "\t"))
		}
	}
	return rows
}

// one is an interface that has everything a filter can ask for.
func (w *world) one() (cloudsim.Interface, *strings.Replacer) {
	w.t.Helper()
	ctx := w.t.Context()
	e := w.create(cloudsim.CreateInterface{
		Description: "nicferry of node 1", Groups: []string{"sg-1"}, IPv4Count: 1, IPv6Count: new(1),
		Tags: cloudsim.Tags{"nicferry.io/nic": "nic-1"},
	})
	a := w.attach(e.ID, 1)
	p := w.public()
	id := must(w.associate(cloudsim.AssociateAddress{Allocation: p.Allocation, Interface: e.ID}))(w.t)
	for _, m := range []cloudsim.ModifyInterface{{SourceDestCheck: new(false)}, {Attachment: &cloudsim.ModifyAttachment{ID: a.ID, DeleteOnTermination: new(true)}}} {
		m.Interface = e.ID
		if err := w.ModifyInterface(ctx, w.call, m); err != nil {
			w.t.Fatal(err)
		}
	}
	e = w.get(e.ID)
	return e, strings.NewReplacer(
		"{id}", e.ID, "{attachment}", a.ID, "{instance}", w.node.ID, "{attached}", e.Attachment.Time.UTC().Format("2006-01-02T15:04:05.000Z"),
		"{primary}", e.Primary().String(), "{secondary}", e.IPv4[1].Addr.String(), "{public}", p.Public.String(),
		"{allocation}", p.Allocation, "{association}", id, "{ipv6}", e.IPv6[0].String(), "{mac}", e.MAC.String())
}

func TestEveryFilterFindsAndLeavesOut(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	e, values := w.one()
	elb := must(w.Plant(cloudsim.Foreign{Subnet: w.near.ID, Requester: "amazon-elb"}))(t)[0]
	for _, row := range table(t, "filters.tsv") {
		name, value := row[0], values.Replace(row[1])
		t.Run(name+"="+row[1], func(t *testing.T) {
			find := func(value string) []string {
				p := must(w.DescribeInterfaces(t.Context(), w.call, cloudsim.Describe{Filters: []cloudsim.Filter{{Name: name, Values: []string{"no-such", value}}}}))(t)
				var ids []string
				for _, i := range p.Items {
					ids = append(ids, i.ID)
				}
				return ids
			}
			want := e.ID
			if strings.HasPrefix(name, "requester") {
				want = elb
			}
			if !slices.Contains(find(value), want) {
				t.Errorf("%q finds %v, not %s", value, find(value), want)
			}
			if name != "tag-key" && slices.Contains(find("other"), want) {
				t.Error("another value finds it too")
			}
		})
	}
}

// Values are OR-ed, filters AND-ed, and no match is an empty list (EC2 API reference, filtering).
func TestFiltersMustAllMatch(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	e := w.create(cloudsim.CreateInterface{Tags: cloudsim.Tags{"a": "x"}})
	other := w.create(cloudsim.CreateInterface{Tags: cloudsim.Tags{"a": "y"}})
	for i, c := range []struct {
		filters []cloudsim.Filter
		want    []string
	}{
		{[]cloudsim.Filter{{"tag:a", []string{"x", "y"}}}, []string{e.ID, other.ID}},
		{[]cloudsim.Filter{{"tag:a", []string{"x", "y"}}, {"mac-address", []string{other.MAC.String()}}}, []string{other.ID}},
		{[]cloudsim.Filter{{"tag:a", []string{"x"}}, {"mac-address", []string{other.MAC.String()}}}, nil},
		{[]cloudsim.Filter{{"tag:a", []string{"z"}}}, nil},
		{[]cloudsim.Filter{{"tag:a", []string{`\x`}}}, []string{e.ID}},
		{[]cloudsim.Filter{{"tag:a", []string{`\*`}}}, nil},
		{[]cloudsim.Filter{{"tag:a", []string{`*`}}}, []string{e.ID, other.ID}},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			p := must(w.DescribeInterfaces(t.Context(), w.call, cloudsim.Describe{Filters: c.filters}))(t)
			var ids []string
			for _, e := range p.Items {
				ids = append(ids, e.ID)
			}
			same(t, ids, c.want)
		})
	}
}

// A page may be empty and carry a token; the last carries none (EC2 API reference, pagination).
func TestPagesShowEverythingOnce(t *testing.T) {
	for _, empty := range []bool{false, true} {
		w := newWorld(t, cloudsim.Options{EmptyPages: empty})
		var want []string
		for _, i := range w.Interfaces() {
			want = append(want, i.ID)
		}
		for range 15 {
			want = append(want, w.create(cloudsim.CreateInterface{}).ID)
		}
		var got []string
		d, pages, empties := cloudsim.Describe{MaxResults: 5}, 0, 0
		for {
			p := must(w.DescribeInterfaces(t.Context(), w.call, d))(t)
			pages++
			if len(p.Items) == 0 {
				empties++
			}
			for _, i := range p.Items {
				got = append(got, i.ID)
			}
			if d.NextToken = p.NextToken; d.NextToken == "" {
				break
			}
			if pages == 1 { // what comes and goes meanwhile shifts nothing
				must(0, w.DeleteInterface(t.Context(), w.call, got[len(got)-1]))(t)
				w.Plant(cloudsim.Foreign{Subnet: w.near.ID})
			}
		}
		if len(got) > len(want) { // the foreign one may be seen, at the end
			got = got[:len(want)]
		}
		same(t, got, want)
		if (empties == 1) != empty {
			t.Errorf("%d of %d pages were empty", empties, pages)
		}
	}
}
