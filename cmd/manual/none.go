//go:build !man

package manual

import "github.com/spf13/cobra"

// Add adds nothing: what users run does not carry what writes man pages.
func Add(*cobra.Command, string) {}
