package daemon

import (
	"context"
	"log/slog"
)

// Claiming is log with the claim added to each line that names a NIC by the
// attribute nic and names none: for parts that know NICs alone. claimOf says
// whose a NIC is, empty for nobody's.
func Claiming(log *slog.Logger, claimOf func(nic string) (claim string)) *slog.Logger {
	return slog.New(claiming{log.Handler(), claimOf})
}

type claiming struct {
	slog.Handler
	claimOf func(string) string
}

// Handle implements slog.Handler.
func (h claiming) Handle(ctx context.Context, r slog.Record) error {
	id, named := "", false
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "nic":
			id = a.Value.String()
		case "claim":
			named = true
		}
		return true
	})
	if id != "" && !named {
		r = r.Clone()
		r.AddAttrs(slog.String("claim", h.claimOf(id)))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h claiming) WithAttrs(attrs []slog.Attr) slog.Handler {
	return claiming{h.Handler.WithAttrs(attrs), h.claimOf}
}

// WithGroup implements slog.Handler.
func (h claiming) WithGroup(name string) slog.Handler {
	return claiming{h.Handler.WithGroup(name), h.claimOf}
}
