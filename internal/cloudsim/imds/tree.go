package imds

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// A tree is what can be read below meta-data: texts by their paths. An empty
// text stands for an item that is not there.
type tree map[string]string

// read answers for a path: an item's text or a directory's list.
func (t tree) read(path string) (string, bool) {
	path = strings.Trim(path, "/")
	if text := t[path]; text != "" {
		return text, true
	}
	names := map[string]bool{}
	for item, text := range t {
		rest, below := item, true
		if path != "" {
			rest, below = strings.CutPrefix(item, path+"/")
		}
		if !below || text == "" {
			continue
		}
		if name, _, deeper := strings.Cut(rest, "/"); deeper {
			names[name+"/"] = true
		} else {
			names[name] = true
		}
	}
	return strings.Join(slices.Sorted(maps.Keys(names)), "\n"), len(names) > 0
}

// index is where an interface is plugged in.
func index(n *cloudsim.GuestInterface) (device, card int) {
	if a := n.Interface.Attachment; a != nil {
		return a.Device, a.Card
	}
	return 0, 0
}

func lines[T fmt.Stringer](all []T) string {
	texts := make([]string, 0, len(all))
	for _, v := range all {
		texts = append(texts, v.String())
	}
	return strings.Join(texts, "\n")
}

func prefix(p netip.Prefix) string {
	if !p.IsValid() {
		return ""
	}
	return p.String()
}
