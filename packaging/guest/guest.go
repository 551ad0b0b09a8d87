// Package guest holds the files that keep a machine's own network managers away
// from nicferry's NICs.
package guest

import "embed"

// Files are the drop-ins, each under its path from the root of the machine.
//
//go:embed etc
var Files embed.FS
