package ipam

import (
	"fmt"
	"strings"
)

// MaxHolders is how many holders an exhaustion message names.
const MaxHolders = 3

// Full says for people that nothing can be given: what there is, how full it
// is, who holds it, and when that is going to change by itself. what names the
// spans, holders are those of Held, and as many as MaxHolders of them.
func Full(what string, u Usage, holders []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d of %d held", what, u.Held, u.Size)
	if u.Resting > 0 {
		fmt.Fprintf(&b, ", %d cooling down, the next is free at %s", u.Resting, u.Next.Format("15:04:05 MST"))
	}
	if len(holders) > 0 {
		fmt.Fprintf(&b, "; held by %s", strings.Join(holders, ", "))
		if more := u.Held - uint64(len(holders)); u.Held > uint64(len(holders)) {
			fmt.Fprintf(&b, " and %d more", more)
		}
	}
	return b.String()
}
