/* Code points as Hugging Face's BertNormalizer and BertPreTokenizer classify them. utf8proc knows a
   newer Unicode than their tables, and an older one, so short tables here hold the difference:
     young    ranges without a code point that Unicode 8 calls mark, punctuation, space or control,
              nor one that Unicode 9 decomposes. They run over letters and over what is not assigned
              yet, so that a newer utf8proc changes nothing.
     nine     the marks of Unicode 9 inside them, whose combining classes are known to Hugging Face
     later    what decomposes (NFKD) since a Unicode after 9; `young` is no help there
     sixteen  letters, numbers and other word characters younger than utf8proc 2.8 (Unicode 15)
     lower    capitals younger than that, and U+0130, which becomes two
   and three characters changed their category since Unicode 8: U+1734 was a nonspacing mark,
   U+166D and U+111C9 were punctuation. With them every code point is treated alike: points.json in
   tests/data/tokenizer holds hashes of all, made with `tokenizers` itself. */
#include "text/unicode.h"

#include <utf8proc.h>

typedef struct range {
    uint32_t first, last;
} range;

static const range young[] = {
    {0x61D, 0x61D},     {0x7FA, 0x815},     {0x85F, 0x8E2},     {0x9E4, 0xA00},
    {0xA76, 0xA80},     {0xAF1, 0xB00},     {0xB4E, 0xB55},     {0xC01, 0xC3D},
    {0xC64, 0xC80},     {0xC82, 0xCBB},     {0xCE4, 0xD00},     {0xD02, 0xD40},
    {0xD64, 0xDC9},     {0xEBA, 0xEBA},     {0xECE, 0xF03},     {0x1715, 0x1715},
    {0x180F, 0x18A8},   {0x1ABE, 0x1AFF},   {0x1B74, 0x1B7F},   {0x1DF6, 0x1DFB},
    {0x2E43, 0x2FFF},   {0xA827, 0xA873},   {0xA8C5, 0xA8CD},   {0xA8FD, 0xA925},
    {0xA9BD, 0xA9BD},   {0x10564, 0x1056E}, {0x105BD, 0x105FF}, {0x10B9D, 0x11000},
    {0x1104E, 0x1107E}, {0x110C2, 0x110FF}, {0x111CE, 0x111DA}, {0x1123E, 0x112A8},
    {0x11302, 0x1133B}, {0x11375, 0x114B2}, {0x11644, 0x116AA}, {0x116B8, 0x1171C},
    {0x1173F, 0x1246F}, {0x12475, 0x16A6D}, {0x16B45, 0x16F8E}, {0x16F93, 0x1BC9C},
    {0x1BCA4, 0x1D15D}, {0x1DAB0, 0x1E8CF}, {0x1E8D7, 0x2F7FF},
};

static const range nine[] = {
    {0x8D4, 0x8E1},     {0x1DFB, 0x1DFB},   {0x11442, 0x11442}, {0x11446, 0x11446},
    {0x11C3F, 0x11C3F}, {0x1E000, 0x1E02A}, {0x1E944, 0x1E94A},
};

static const range later[] = {
    {0x32FF, 0x32FF},   {0xA7F1, 0xA7F4},   {0xAB69, 0xAB69},   {0x105C9, 0x105E4},
    {0x10781, 0x107BA}, {0x11383, 0x113C8}, {0x11938, 0x11938}, {0x16121, 0x16128},
    {0x16D68, 0x16D6A}, {0x1CCD6, 0x1CCF9}, {0x1E030, 0x1E06D}, {0x1F16C, 0x1F16C},
    {0x1FBF0, 0x1FBF9},
};

typedef enum word_kind { NO_WORD, LETTER, NUMBER, WORD } word_kind;

static const struct {
    uint32_t first, last;
    word_kind kind;
} sixteen[] = {
    {0x897, 0x897, WORD},       {0x1C89, 0x1C8A, LETTER},   {0xA7CB, 0xA7CD, LETTER},
    {0xA7DA, 0xA7DC, LETTER},   {0x105C0, 0x105F3, LETTER}, {0x10D40, 0x10D49, NUMBER},
    {0x10D4A, 0x10D65, LETTER}, {0x10D69, 0x10D6D, WORD},   {0x10D6F, 0x10D85, LETTER},
    {0x10EC2, 0x10EC4, LETTER}, {0x10EFC, 0x10EFC, WORD},   {0x11380, 0x11389, LETTER},
    {0x1138B, 0x1138B, LETTER}, {0x1138E, 0x1138E, LETTER}, {0x11390, 0x113B5, LETTER},
    {0x113B7, 0x113B7, LETTER}, {0x113B8, 0x113C0, WORD},   {0x113C2, 0x113C2, WORD},
    {0x113C5, 0x113C5, WORD},   {0x113C7, 0x113CA, WORD},   {0x113CC, 0x113D0, WORD},
    {0x113D1, 0x113D1, LETTER}, {0x113D2, 0x113D2, WORD},   {0x113D3, 0x113D3, LETTER},
    {0x113E1, 0x113E2, WORD},   {0x116D0, 0x116E3, NUMBER}, {0x11BC0, 0x11BE0, LETTER},
    {0x11BF0, 0x11BF9, NUMBER}, {0x11F5A, 0x11F5A, WORD},   {0x13460, 0x143FA, LETTER},
    {0x16100, 0x1611D, LETTER}, {0x1611E, 0x1612F, WORD},   {0x16130, 0x16139, NUMBER},
    {0x16D40, 0x16D6C, LETTER}, {0x16D70, 0x16D79, NUMBER}, {0x18CFF, 0x18CFF, LETTER},
    {0x1CCF0, 0x1CCF9, NUMBER}, {0x1E5D0, 0x1E5ED, LETTER}, {0x1E5EE, 0x1E5EF, WORD},
    {0x1E5F0, 0x1E5F0, LETTER}, {0x1E5F1, 0x1E5FA, NUMBER}, {0x2EBF0, 0x2EE5D, LETTER},
};

static const struct {
    uint32_t first, last;
    int32_t shift;
} lower[] = {
    {0x1C89, 0x1C89, 1},      {0xA7CB, 0xA7CB, 0x264 - 0xA7CB},
    {0xA7CC, 0xA7CC, 1},      {0xA7CE, 0xA7CE, 1},
    {0xA7D2, 0xA7D2, 1},      {0xA7D4, 0xA7D4, 1},
    {0xA7DA, 0xA7DA, 1},      {0xA7DC, 0xA7DC, 0x19B - 0xA7DC},
    {0x10D50, 0x10D65, 0x20}, {0x16EA0, 0x16EB8, 0x1B},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool within(const range *ranges, size_t count, uint32_t point)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (point > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && point >= ranges[low].first;
}

static bool is_young(uint32_t point)
{
    return within(young, COUNT(young), point);
}

static utf8proc_category_t category(uint32_t point)
{
    return utf8proc_category((utf8proc_int32_t)point);
}

static bool is_punctuation(uint32_t point)
{
    if (point < 0x80)
        return (point >= 33 && point <= 47) || (point >= 58 && point <= 64) ||
               (point >= 91 && point <= 96) || (point >= 123 && point <= 126);
    if (point == 0x166D || point == 0x111C9)
        return true;
    utf8proc_category_t c = category(point);
    return c >= UTF8PROC_CATEGORY_PC && c <= UTF8PROC_CATEGORY_PO && !is_young(point);
}

bool ak_char_is_space(uint32_t point)
{
    return point == ' ' || (point >= 9 && point <= 13) || point == 0x85 || point == 0xA0 ||
           point == 0x1680 || (point >= 0x2000 && point <= 0x200A) || point == 0x2028 ||
           point == 0x2029 || point == 0x202F || point == 0x205F || point == 0x3000;
}

ak_char_kind ak_char_kind_of(uint32_t point)
{
    if (ak_char_is_space(point))
        return AK_CHAR_SPACE;
    return is_punctuation(point) ? AK_CHAR_PUNCTUATION : AK_CHAR_WORD;
}

bool ak_char_is_dropped(uint32_t point)
{
    if (point == '\t' || point == '\n' || point == '\r')
        return false;
    if (point == 0 || point == 0xFFFD)
        return true;
    utf8proc_category_t c = category(point);
    return c >= UTF8PROC_CATEGORY_CC && c <= UTF8PROC_CATEGORY_CO && !is_young(point);
}

bool ak_char_is_chinese(uint32_t point)
{
    if (point < 0x3400 || (point > 0x9FFF && point < 0xF900))
        return false;
    return point <= 0x4DBF || (point >= 0x4E00 && point <= 0x9FFF) ||
           (point >= 0xF900 && point <= 0xFAFF) || (point >= 0x20000 && point <= 0x2A6DF) ||
           (point >= 0x2A700 && point <= 0x2B81F) || (point >= 0x2B920 && point <= 0x2CEAF) ||
           (point >= 0x2F800 && point <= 0x2FA1F);
}

bool ak_char_is_mark(uint32_t point)
{
    if (point == 0x1734)
        return true;
    if (point == 0x111C9)
        return false;
    return category(point) == UTF8PROC_CATEGORY_MN && !is_young(point);
}

static word_kind word_kind_of(uint32_t point)
{
    utf8proc_category_t c = category(point);
    if (c >= UTF8PROC_CATEGORY_LU && c <= UTF8PROC_CATEGORY_LO)
        return LETTER;
    if (c >= UTF8PROC_CATEGORY_ND && c <= UTF8PROC_CATEGORY_NO)
        return NUMBER;
    if ((c >= UTF8PROC_CATEGORY_MN && c <= UTF8PROC_CATEGORY_ME) || c == UTF8PROC_CATEGORY_PC)
        return WORD;
    for (size_t i = 0; i < COUNT(sixteen) && point >= sixteen[i].first; i++)
        if (point <= sixteen[i].last)
            return sixteen[i].kind;
    return NO_WORD;
}

bool ak_char_is_letter(uint32_t point)
{
    return word_kind_of(point) == LETTER;
}

bool ak_char_is_number(uint32_t point)
{
    return word_kind_of(point) == NUMBER;
}

/* Circled and squared letters are alphabetic, the two joiners count as well, and fractions do not.
 */
bool ak_char_is_word(uint32_t point)
{
    return (word_kind_of(point) != NO_WORD && category(point) != UTF8PROC_CATEGORY_NO) ||
           (point >= 0x24B6 && point <= 0x24E9) || (point >= 0x1F130 && point <= 0x1F149) ||
           (point >= 0x1F150 && point <= 0x1F169) || (point >= 0x1F170 && point <= 0x1F189) ||
           point == 0x200C || point == 0x200D;
}

int ak_char_decompose(uint32_t point, bool compatible, uint32_t parts[AK_CHAR_PARTS])
{
    parts[0] = point;
    if (point < 0xA0 || (compatible ? within(later, COUNT(later), point) : is_young(point)))
        return 1;
    utf8proc_int32_t out[AK_CHAR_PARTS];
    int boundary = 0;
    utf8proc_ssize_t count =
        utf8proc_decompose_char((utf8proc_int32_t)point, out, AK_CHAR_PARTS,
                                UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0), &boundary);
    if (count < 1 || count > AK_CHAR_PARTS)
        return 1;
    for (int i = 0; i < count; i++)
        parts[i] = (uint32_t)out[i];
    return (int)count;
}

/* U+11A7 stands before the first final consonant of Hangul and is none; utf8proc takes it for one.
 */
uint32_t ak_char_compose(uint32_t first, uint32_t second)
{
    utf8proc_int32_t both[] = {(utf8proc_int32_t)first, (utf8proc_int32_t)second};
    return second >= 0x300 && second != 0x11A7 &&
                   utf8proc_normalize_utf32(both, 2, UTF8PROC_COMPOSE | UTF8PROC_STABLE) == 1 &&
                   !is_young((uint32_t)both[0])
               ? (uint32_t)both[0]
               : 0;
}

int ak_char_combining_class(uint32_t point)
{
    int combining = utf8proc_get_property((utf8proc_int32_t)point)->combining_class;
    if (combining && is_young(point) && !within(nine, COUNT(nine), point))
        return 0;
    return combining;
}

int ak_char_lower(uint32_t point, uint32_t out[2])
{
    out[0] = point;
    if (point == 0x130) { /* the only one that grows: i and a dot above */
        out[0] = 'i';
        out[1] = 0x307;
        return 2;
    }
    for (size_t i = 0; i < COUNT(lower); i++) {
        if (point >= lower[i].first && point <= lower[i].last) {
            out[0] = (uint32_t)((int32_t)point + lower[i].shift);
            return 1;
        }
    }
    out[0] = (uint32_t)utf8proc_tolower((utf8proc_int32_t)point);
    return 1;
}
