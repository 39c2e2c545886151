#include "server/retrieval/stop_words.h"

#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_split.h"

namespace aibackend::retrieval {
namespace {

constexpr char kEnglish[] =
    "a about after again all also am an and any are as at be because been before being between "
    "both but by can could did do does doing down during each few for from further had has have "
    "having he her here hers him his how i if in into is it its itself just me more most my "
    "myself no nor not now of off on once only or other our out over own same she should so some "
    "such than that the their them then there these they this those through to too under until "
    "up very was we were what when where which while who whom why will with would you your may "
    "might must shall";

constexpr char kGerman[] =
    "aber alle allem allen aller alles als also am an auch auf aus bei beim bin bis bist da damit "
    "dann das dass dein deine dem den denn der des dessen die dies diese diesem diesen dieser "
    "dieses doch dort du durch ein eine einem einen einer eines er es etwas euch euer für gegen "
    "hab habe haben hat hatte hatten hier hin hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer "
    "im in ins ist ja jede jedem jeden jeder jedes kann können könnte man mein meine mich mir mit "
    "muss nach nicht noch nun nur ob oder ohne sehr sein seine seinem seinen seiner sich sie sind "
    "so soll sollte sondern um und uns unser unsere unter vom von vor war waren was weil welche "
    "welcher welches wenn wer werde werden wie wieder will wir wird wo wurde wurden zu zum zur "
    "zwischen über";

constexpr char kFrench[] =
    "a ai au aussi aux avait avec avoir avons ayant c ce ceci cela celle celles celui ces cet "
    "cette ceux comme comment d dans de des donc dont du elle elles en entre es est et eu eux "
    "furent fut ici il ils j je jusqu l la le les leur leurs lorsqu lui m ma mais me mes moi mon "
    "même n ne ni nos notre nous on ont or ou où par pas pendant peut plus pour pourquoi puisqu qu "
    "quand que quel quelle quelles quels qui quoi quoiqu s sa sans se sera serait ses si son sont "
    "sous sur t ta te tes toi ton tous tout toute toutes très tu un une vers vos votre vous y à "
    "été être étaient était";

constexpr char kSpanish[] =
    "a al algo ante antes aquel aquella aquellas aquellos aquí así aunque cada como con contra "
    "cual cuando cuya cuyo de del desde donde dos durante e el ella ellas ellos en entre era eran "
    "es esa esas ese eso esos esta estaba estado estas este esto estos está están fue fueron ha "
    "haber había habían han hasta hay he la las le les lo los me mi mis mientras muy más ni no nos "
    "nosotros nuestra nuestro o os otra otras otro otros para pero por porque pues que quien "
    "quienes qué se sea según ser si sido sin sobre solo son su sus sí también te tiene tienen "
    "todo todos tras tu tus u un una unas uno unos y ya yo él";

constexpr char kItalian[] =
    "a ad agli ai al alla alle allo all anche avere aveva avevano c che chi ci ciò coi col come "
    "con "
    "contro cui d da dagli dai dal dall dalla dalle dallo degli dei del dell della delle dello "
    "dentro di dopo dove due e ed era erano essere fra fu gli ha hanno ho i il in io l la le lei "
    "li "
    "lo loro lui ma me mi mia mie mio molto ne negli nei nel nell nella nelle nello noi non nostra "
    "nostro o od ogni per perché però più poi prima quale quali quando quanto quella quelle quelli "
    "quello quell questa queste questi questo qui se sei si sia sono sopra sotto sta stata stati "
    "stato su sua sue sugli sui sul sull sulla sulle sullo suo suoi tra tu tutti tutto un una uno "
    "v vi voi è";

constexpr char kPortuguese[] =
    "a ainda ao aos aquela aquelas aquele aqueles aquilo as até cada com como contra cujo da das "
    "de dela delas dele deles depois desde do dos e ela elas ele eles em entre era eram essa essas "
    "esse esses esta estas este estes está estão eu foi foram há isso isto já lhe lhes mais mas me "
    "mesmo meu meus minha muito na nas nem no nos nossa nosso não nós o onde os ou para pela pelas "
    "pelo pelos pois por porque qual quais quando que quem se seja sem ser seu seus sido sob sobre "
    "sua suas são só também te tem teve tinha toda todas todo todos tu um uma umas uns você vocês "
    "à às é";

constexpr char kDutch[] =
    "aan al als ben bij daar dan dat de der deze die dit doch doen door dus een en er geen had "
    "hadden haar heb hebben heeft hem hen het hier hij hoe hun ik in is ja je jij jullie kan kon "
    "kunnen maar me meer men met mij mijn moet na naar niet niets nog nu of om omdat onder ons ook "
    "op over reeds t te tegen toch toen tot u uit uw van veel voor want waren was wat we wel werd "
    "werden wie wij wil worden wordt zal ze zelf zich zij zijn zo zonder zou";

}  // namespace

const StopWords& StopWordsOf(absl::string_view language) {
  static const auto* const lists = [] {
    auto* made = new absl::flat_hash_map<absl::string_view, StopWords>();
    for (const auto& [name, words] : {std::pair<const char*, const char*>{"english", kEnglish},
                                      {"porter", kEnglish},
                                      {"german", kGerman},
                                      {"french", kFrench},
                                      {"spanish", kSpanish},
                                      {"italian", kItalian},
                                      {"portuguese", kPortuguese},
                                      {"dutch", kDutch}}) {
      (*made)[name] = absl::StrSplit(words, ' ');
    }
    return made;
  }();
  static const auto* const none = new StopWords();
  const auto found = lists->find(language);
  return found == lists->end() ? *none : found->second;
}

}  // namespace aibackend::retrieval
