# Downloads Debian's packages by an apt of its own: sourced by the scripts that do.
#
# apt works in a state of its own under $store, so that the machine's architectures, sources and installed
# packages stay as they are; apt checks the signatures. Mirror and suite are the machine's own.
#
# Who sources it says before: `self`, its name in messages, and `store`, a directory under target.
# environment:
#   TRAPCAST_DEBIAN   use this instead of the machine's sources: "URI SUITE", such as
#                     "http://deb.debian.org/debian bookworm"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

say() { printf '%s: %s\n' "$self" "$*"; }
fail() { printf '%s: error: %s\n' "$self" "$*" >&2; exit 1; }

# The machine's own Debian archives, one "URI SUITE" per line.
archives() {
    if [ -n "${TRAPCAST_DEBIAN:-}" ]; then
        printf '%s\n' "$TRAPCAST_DEBIAN"
        return
    fi
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
        awk '$3 == "main" && $1 ~ /\/debian(-security)?\/?$/ { print $1, $2 }' | sort -u
}

# Of these archives, the release itself, without its updates: one "URI SUITE".
release_archive() { awk '$1 !~ /-security\/?$/ && $2 !~ /-/ { print; exit }' <<<"$sources"; }

# Its backports, the same way.
backports_archive() { release_archive | sed 's/$/-backports/'; }

# Checks that this machine can download, waits for another call to end, and reads the machine's sources.
begin_downloads() {
    local tool
    for tool in apt-get apt-cache dpkg-deb flock; do
        command -v "$tool" >/dev/null || fail "$tool is missing: this script needs Debian's apt and dpkg"
    done
    [ -r "$keyring" ] || fail "$keyring is missing: apt-get install debian-archive-keyring"

    mkdir -p "$store"
    exec 9>"$store/.lock"
    flock 9

    sources=$(archives)
    [ -n "$(release_archive)" ] || fail "no Debian archive among apt's sources; name one, for example:" \
        "TRAPCAST_DEBIAN='http://deb.debian.org/debian bookworm' $0"
    work=
    trap '[ -z "$work" ] || rm -rf "$work"' EXIT
}

# apt with a state of its own: one architecture only, our sources only.
apt_here() {
    local tool=$1
    shift
    "$tool" -q \
        -o Dir::State="$apt/state" -o Dir::State::status="$apt/state/status" \
        -o Dir::Cache="$apt/cache" \
        -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts="$apt/none" \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts="$apt/none" \
        -o APT::Architecture="$arch" -o APT::Architectures::="$arch" \
        -o APT::Update::Post-Invoke::= -o APT::Update::Post-Invoke-Success::= \
        -o APT::Sandbox::User=root -o Acquire::Languages=none \
        -o Acquire::Retries=3 -o Acquire::http::Timeout=60 \
        "$@"
}

# A field of the newest version of a package, such as: field Version busybox-static
field() { apt_here apt-cache show --no-all-versions "$2" | sed -n "s/^$1: //p" | head -n 1; }

# Makes an apt for $arch in a new directory, $work, with these archives ("URI SUITE" per line), and reads the
# package lists. To it nothing is installed.
prepare_apt() {
    local uri suite
    work=$(mktemp -d "$store/.work.XXXXXX")
    apt=$work/apt
    mkdir -p "$work/debs" "$apt/none" "$apt/state/lists/partial" "$apt/cache/archives/partial"
    : >"$apt/state/status"
    while read -r uri suite; do
        printf 'deb [arch=%s signed-by=%s] %s %s main\n' "$arch" "$keyring" "$uri" "$suite"
    done <<<"$1" >"$apt/sources.list"

    say "reading the package lists for $arch of: $(paste -sd, <<<"$1")"
    # One list that a mirror has out of step does no harm, as long as another has the packages.
    apt_here apt-get update >/dev/null || say "going on without the lists that apt could not read"
}

# Fetches one package into $work/debs and unpacks it into $work/PACKAGE.
fetch() {
    say "downloading $1 $(field Version "$1") for $arch"
    (cd "$work/debs" && apt_here apt-get download "$1" >/dev/null) ||
        fail "apt could not download $1; its message stands above"
    dpkg-deb -x "$work/debs/$1"_*.deb "$work/$1"
}

# Fetches packages, as `apt-get install` takes them, with all that they depend on and this apt does not have
# installed, into $work/debs.
fetch_with_dependencies() {
    apt_here apt-get install --download-only --yes --no-install-recommends "$@" >/dev/null ||
        fail "apt could not download $*; its message stands above"
    mv "$apt"/cache/archives/*.deb "$work/debs"
}

# The packages in $work/debs as JSON: their versions by their names.
versions_of_debs() {
    local package
    for package in "$work"/debs/*.deb; do
        dpkg-deb -W --showformat '  "${Package}": "${Version}"\n' "$package"
    done | sed '$!s/$/,/; 1s/^/{\n/; $s/$/\n}/'
}

# Removes what a download has left behind.
end_download() {
    rm -rf "$work"
    work=
}
