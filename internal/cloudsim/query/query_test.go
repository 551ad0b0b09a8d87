package query

import (
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"testing"
)

type pair struct {
	Key   string `query:"Key,required"`
	Value *int   `query:"Value"`
}

type asked struct {
	Name  string       `query:"Name,required"`
	Addrs []netip.Addr `query:"Addr"`
	Tags  []pair       `query:"Tag"`
	On    *bool        `query:"On"`
	Size  int          `query:"Page.Size"`
}

func read(t *testing.T, text string) (asked, []string, *Fault) {
	t.Helper()
	values, err := url.ParseQuery(text)
	if err != nil {
		t.Fatal(err)
	}
	var got asked
	tree, fault := Grow(values)
	if fault != nil {
		return got, nil, fault
	}
	fault = Decode(tree, &got)
	return got, tree.Leaves(), fault
}

func TestDecode(t *testing.T) {
	got, left, fault := read(t, "Name=n&Addr.2=10.0.0.2&Addr.1=10.0.0.1&Tag.1.Key=k&Tag.1.Value=7&Tag.1.Odd=x&On=true&Page.Size=5&More.1.Odd=y")
	on, seven := true, 7
	want := asked{"n", []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")}, []pair{{"k", &seven}}, &on, 5}
	if fault != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v, %v", got, fault)
	}
	if !slices.Equal(left, []string{"More.1.Odd", "Tag.1.Odd"}) {
		t.Errorf("left are %q", left)
	}
}

func TestDecodeTellsWhatItCannotRead(t *testing.T) {
	tests := map[string]Fault{
		"Addr.1=10.0.0.1":             {Missing, "Name", ""},
		"Name=":                       {Missing, "Name", ""},
		"Name=n&Tag.1.Value=7":        {Missing, "Tag.1.Key", ""},
		"Name=n&Name=m":               {Twice, "Name", ""},
		"Name=n&Addr.1=ten":           {BadValue, "Addr.1", "ten"},
		"Name=n&On=yes":               {BadValue, "On", "yes"},
		"Name=n&Page.Size=9999999999": {BadValue, "Page.Size", "9999999999"},
		"a.b.c.d.e.f.g.h.i.j=1":       {NotReadable, "a.b.c.d.e.f.g.h.i.j", ""},
	}
	for text, want := range tests {
		if _, _, fault := read(t, text); fault == nil || *fault != want {
			t.Errorf("%s: %v, want %v", text, fault, &want)
		}
	}
}
