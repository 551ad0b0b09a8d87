package virt

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is remembered of a domain is what reading it afresh says, whatever of it has
// changed, and whatever callers do with what they were given.
func TestMemoryIsAsReadAfresh(t *testing.T) {
	t.Parallel()
	live, stored, ports := golden(t, "live.xml"), golden(t, "stored.xml"), golden(t, "ports.xml")
	moved := strings.ReplaceAll(stored, "type='pci' domain='0x0000' bus='0x01'", "type='pci' domain='0x0000' bus='0x02'")
	var m memory
	for i, texts := range [][2]string{
		{live, stored}, {live, stored}, {live, moved}, {live, moved}, {"", moved}, {live, ""}, {live, stored}, {"", ports}, {live, ports}, {"", ""}, {live, stored}, {"<domain", stored}, {live, stored},
	} {
		want, wantErr := ReadDomain(texts[0], texts[1])
		got, err := m.domain("a", texts[0], texts[1])
		if diff := cmp.Diff(want, got); diff != "" || (err == nil) != (wantErr == nil) {
			t.Errorf("look %d: %v, want %v (-want +got):\n%s", i, err, wantErr, diff)
		}
		for _, cards := range [][]Interface{got.Live, got.Stored} {
			for j := range cards {
				cards[j].Alias = "spoilt"
			}
		}
		got.Ports = slices.DeleteFunc(got.Ports, func(string) bool { return true })
	}
	if _, err := m.domain("b", live, stored); err != nil {
		t.Fatal(err)
	}
	m.keepOnly(map[string]bool{"b": true})
	if _, there := m.last["a"]; there || len(m.last) != 1 {
		t.Errorf("of domains that are gone it remembers %d", len(m.last))
	}
}

// A second look at a domain that is as it was reads no XML.
func TestMemoryReadsOnce(t *testing.T) {
	t.Parallel()
	live, stored := golden(t, "live.xml"), golden(t, "stored.xml")
	var m memory
	first, err := m.domain("a", live, stored)
	if err != nil {
		t.Fatal(err)
	}
	was := m.last["a"]
	again, err := m.domain("a", live, stored)
	if now := m.last["a"]; err != nil || now.live.reading != was.live.reading || now.stored.reading != was.stored.reading {
		t.Errorf("it was read again: %v", err)
	}
	if diff := cmp.Diff(first, again); diff != "" {
		t.Error(diff)
	}
}
