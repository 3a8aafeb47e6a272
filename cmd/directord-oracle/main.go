// Directord-oracle queries an Oracle database for directord.
//
// Only directord starts it, not an operator. See internal/check/oracle for its input.
package main

import (
	"context"
	"fmt"
	"os"

	"lvs-agents/internal/check/oracle/query"
)

func main() {
	if err := query.Run(context.Background(), os.Stdin); err != nil {
		fmt.Fprintln(os.Stdout, err)
		os.Exit(1)
	}
}
