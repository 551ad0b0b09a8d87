//go:build man

package manual

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// Add adds the hidden command "man DIR" to a program, which writes a page for
// the program and for each of its commands into a directory that is there. The
// section is that of the manual: 1 for people, 8 for daemons. The pages' date is
// SOURCE_DATE_EPOCH, in seconds.
func Add(root *cobra.Command, section string) {
	// A daemon has no commands that somebody would complete.
	root.CompletionOptions.DisableDefaultCmd = section != "1"
	root.AddCommand(&cobra.Command{
		Use:    "man DIR",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
			if err != nil {
				return fmt.Errorf("read SOURCE_DATE_EPOCH: %w", err)
			}
			date := time.Unix(seconds, 0).UTC()
			root.DisableAutoGenTag = true
			header := &doc.GenManHeader{Section: section, Date: &date, Source: "nicferry", Manual: "nicferry"}
			return doc.GenManTree(root, header, args[0])
		},
	})
}
