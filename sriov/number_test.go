package sriov_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/sriov"
)

// S0-4: cards are counted as the config lists them, and else by their addresses,
// whatever order they are found in and whichever are missing.
func TestNumbering(t *testing.T) {
	t.Parallel()
	all := cards(3, 2) // ens1f0 at 0000:03:00.0, ens1f1 at 0000:04:00.0, ens1f2 at 0000:05:00.0
	slices.Reverse(all)
	for _, c := range []struct {
		listed string
		pfs    []sriov.PF
		parted bool
		want   string
	}{
		{"", all, false, "VF11 VF12 VF21 VF22 VF31 VF32"},
		{"", all, true, "VF1_1 VF1_2 VF2_1 VF2_2 VF3_1 VF3_2"},
		{"ens1f2", all, false, "VF21 VF22 VF31 VF32 VF11 VF12"},
		{"04:00.0 ens1f2", all, false, "VF31 VF32 VF11 VF12 VF21 VF22"},
		{"0000:05:00.0 gone 0000:03:00.0", all, false, "VF31 VF32 VF41 VF42 VF11 VF12"},
		{"ens1f0 ens1f1 ens1f2", all[:1], false, "VF31 VF32"}, // the two others are dead, and their numbers nobody's
		{"a b c d e f g h i", all[2:], false, "VF10_1 VF10_2"},
	} {
		names, err := sriov.Numbering{Separator: c.parted, Listed: strings.Fields(c.listed)}.Names(c.pfs)
		var got []string
		for _, a := range slices.Sorted(maps.Keys(names)) {
			got = append(got, names[a])
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("listed %q: %q, %v; want %s", c.listed, got, err, c.want)
		}
	}
	unnamed := cards(1, 1)
	unnamed[0].Name = "" // in another namespace
	if names, err := (sriov.Numbering{Listed: []string{""}}).Names(unnamed); err != nil || names[unnamed[0].VFs[0].Address] != "VF21" {
		t.Errorf("%v, %v", names, err)
	}
}
