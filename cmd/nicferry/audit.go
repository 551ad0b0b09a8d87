package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
)

// auditCommand is "nicferry audit".
type auditCommand struct {
	*app
	fix    bool
	format string
}

// errFindings ends an audit that has found something.
var errFindings = errors.New("what the store, the providers and the nodes say differs")

func (c *auditCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Compare what the store, the providers and the nodes say",
		Long: `Compare what the store, the providers and the nodes say, each asked afresh, and
list every difference with what would mend it.

With --fix the mending begins at once; a later audit says whether it is done. A
"-" as the remedy is for what is told and left alone: what looks like nicferry's
and does not carry its mark, and what cannot be known while a node or a provider
does not answer.

Exit codes: 0 nothing differs, 1 something does, mended or not, or the audit
failed; the others as everywhere.`,
		Example: `  nicferry audit
  nicferry audit --fix
  nicferry audit -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.run(cmd.Context()) },
	}
	cmd.Flags().BoolVar(&c.fix, "fix", false, "begin to mend what can be mended")
	cmd.Flags().StringVarP(&c.format, "output", "o", "text", "the `format`: text, json, yaml")
	return cmd
}

func (c *auditCommand) run(ctx context.Context) error {
	if err := checkFormat(c.format, "text"); err != nil {
		return err
	}
	var audit api.Audit
	err := c.call(ctx, func(ctx context.Context, client *client.Client) (err error) {
		fmt.Fprintln(c.err, "Asking the providers and the nodes …")
		audit, err = client.Audit(ctx, c.fix)
		return err
	})
	if err != nil {
		return err
	}
	if c.format != "text" {
		err = encode(c.out, c.format, audit)
	} else {
		err = c.print(audit)
	}
	if err == nil && len(audit.Findings) > 0 {
		err = errFindings
	}
	return err
}

func (c *auditCommand) print(audit api.Audit) error {
	if len(audit.Findings) == 0 {
		fmt.Fprintf(c.err, "Nothing differs; NICs compared: %d.\n", audit.Counted)
		return nil
	}
	w := newTable(c.out)
	fmt.Fprintln(w, "FINDING\tWHAT\tWHERE\tREMEDY\tMESSAGE")
	for _, f := range audit.Findings {
		what := cmp.Or(string(f.NIC), string(f.Claim), f.Link)
		where := strings.Trim(f.Provider+" "+f.Node, " ")
		if f.Link != "" && what != f.Link {
			where += " " + f.Link
		}
		remedy := f.Remedy
		switch {
		case f.Fixed:
			remedy = "begun: " + remedy
		case f.Error != "":
			remedy = "failed: " + f.Error
		}
		for _, cell := range []string{string(f.Kind), what, where, remedy} {
			fmt.Fprint(w, orDash(oneLine(cell)), "\t")
		}
		fmt.Fprintln(w, oneLine(f.Message))
	}
	return w.Flush()
}
