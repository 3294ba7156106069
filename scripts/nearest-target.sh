#!/bin/sh
# Name the target of the Makefile that is nearest to one that it does not have, and exit with 2.
#   scripts/nearest-target.sh migrat
set -u
wanted=$1
awk -F ':' -v wanted="x$(printf '%s' "$wanted" | tr -cd '0-9A-Za-z_-')" '
function least(a, b) { return a < b ? a : b }
# the number of letters to insert, remove, replace or swap
function distance(one, other, i, j, cost, d) {
    for (i = 0; i <= length(one); i++) d[i, 0] = i
    for (j = 0; j <= length(other); j++) d[0, j] = j
    for (i = 1; i <= length(one); i++) for (j = 1; j <= length(other); j++) {
        cost = substr(one, i, 1) == substr(other, j, 1) ? 0 : 1
        d[i, j] = least(least(d[i - 1, j] + 1, d[i, j - 1] + 1), d[i - 1, j - 1] + cost)
        if (i > 1 && j > 1 && substr(one, i, 1) == substr(other, j - 1, 1) && substr(one, i - 1, 1) == substr(other, j, 1))
            d[i, j] = least(d[i, j], d[i - 2, j - 2] + 1)
    }
    return d[length(one), length(other)]
}
BEGIN { wanted = substr(wanted, 2); limit = int((length(wanted) + 2) / 3) }
/^[a-z-]+:.*## / {
    found = distance(wanted, $1)
    if (found <= limit && (nearest == "" || found < best)) { best = found; nearest = $1 }
}
END {
    if (nearest != "") printf "  Did you mean `make %s`?\n", nearest
    else print "  `make` lists the targets."
}' Makefile | {
    hint=$(cat)
    printf 'make: there is no target "%s".\n%s\n' "$(printf '%s' "$wanted" | tr -cd '[:print:]')" "$hint" >&2
}
exit 2
