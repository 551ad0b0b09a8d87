//go:build linux

package device

import (
	"context"
	"regexp"
	"slices"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
)

// ownName is a name such as we give; anybody may give it too.
var ownName = regexp.MustCompile(`^(` + hostPrefix + `|` + homePrefix + `)[0-9a-f]{12}$`)

// Strays lists the links of the host namespace that look like NICs of ours and
// are none of the wanted: by our mark, which is a NIC's id as the alias, by a
// MAC as we draw them, or by a name as we give them. Of a veth it lists the end
// with the mark alone, and no virtual function: that stays when its NIC goes, and may
// have the last MAC until its driver is bound anew.
func (m *Maker) Strays(ctx context.Context, wanted []nic.Wanted) ([]nic.Stray, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	links, err := m.host.Links()
	if err != nil {
		return nil, err
	}
	strays := []nic.Stray{}
	for _, l := range links {
		if l.Kind == link.KindBridge || !looksOurs(l) || m.virtual(m.at(l)) || isWanted(l, wanted) || isPeer(l, links) {
			continue
		}
		s := nic.Stray{Link: l.Name, Kind: l.Kind, MAC: l.MAC, Bridge: nameIn(links, l.Master)}
		if marked(l) {
			s.NIC = nic.ID(l.Alias)
		}
		if (l.Kind == link.KindMacvlan || l.Kind == link.KindIpvlan || l.Kind == link.KindVLAN) && l.ParentNSID == link.SameNamespace {
			s.Parent = nameIn(links, l.ParentIndex)
		}
		strays = append(strays, s)
	}
	return strays, nil
}

func looksOurs(l link.Link) bool {
	return marked(l) || l.MAC.Drawn() || l.PermMAC.Drawn() || ownName.MatchString(l.Name)
}

func isWanted(l link.Link, wanted []nic.Wanted) bool {
	return slices.ContainsFunc(wanted, func(w nic.Wanted) bool {
		if w.NIC == "" {
			return false
		}
		return l.Alias == string(w.NIC) || !marked(l) && (l.MAC == w.Device.MAC || l.PermMAC == w.Device.MAC) ||
			l.Name == w.NIC.LinkName(hostPrefix) && l.Alias == "" // half made
	})
}

// isPeer says whether l is the unmarked end of a veth whose other end is listed.
func isPeer(l link.Link, links []link.Link) bool {
	return l.Kind == link.KindVeth && !marked(l) && l.ParentNSID == link.SameNamespace &&
		slices.ContainsFunc(links, func(o link.Link) bool {
			return o.Index == l.ParentIndex && o.Kind == link.KindVeth && marked(o)
		})
}

func nameIn(links []link.Link, index int) string {
	for _, l := range links {
		if l.Index == index && index != 0 {
			return l.Name
		}
	}
	return ""
}
