package calls

import (
	"context"

	"github.com/nicferry/nicferry/provider"
)

// Pages asks for one page of a list after the other, until there is no token for a next
// one. A page may be empty and have one. A token that comes twice would go round for ever.
// The first page has had its turn.
func (c *Pace) Pages(ctx context.Context, api string, page func(token string) (next string, err error)) error {
	tokens := map[string]bool{}
	token := ""
	for {
		next, err := page(token)
		if err != nil || next == "" {
			return err
		}
		if tokens[next] {
			return provider.Errorf(provider.ErrUnknown, "%s: %s gave the same page token twice after %d pages: the list cannot be read to its end", api, c.cloud, len(tokens)+1)
		}
		tokens[next] = true
		token = next
		if err := c.Take(ctx, api); err != nil {
			return err
		}
	}
}
